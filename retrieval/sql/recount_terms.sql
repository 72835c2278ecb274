-- Counts the tenant's terms anew: deletions past the services, or a lost correction, leave them behind the truth.
with counted as (
    select split_part(pair, ':', 1)::int as term, count(*) as chunks
    from retrieval_chunk c, string_to_table(nullif(substring(c.lex::text from '{(.*)}'), ''), ',') pair
    where c.tenant_id = wall.tenant() group by 1
    union all
    select 0, count(*) from retrieval_chunk where tenant_id = wall.tenant()),
gone as (
    delete from retrieval_termcount t
    where t.tenant_id = wall.tenant() and not exists (select from counted where counted.term = t.term))
insert into retrieval_termcount (term, chunks) select term, chunks from counted order by term
on conflict (tenant_id, term) do update set chunks = excluded.chunks
    where retrieval_termcount.chunks <> excluded.chunks
