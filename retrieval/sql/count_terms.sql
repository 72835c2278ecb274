-- Adds new chunks to the counts of their terms; term 0 is the chunks themselves.
insert into retrieval_termcount (term, chunks)
select term, chunks from unnest(%(terms)s::int[], %(chunks)s::int[]) added(term, chunks) order by term
on conflict (tenant_id, term) do update set chunks = retrieval_termcount.chunks + excluded.chunks
