-- The search: both scores exactly, by vector and by words, for the candidates (or, while they are few, for all chunks),
-- fused to one that is comparable between questions. Rights are nowhere in it: every table's row policy applies them.
--   matching the documents that a wide filter leaves (those of a narrow one are named)
--   word     the question's terms with their idf in this tenant; an identifier has a digit and is rare
--   asked    the question as sparse vectors, and the highest score that any text could reach
--   found    score = share * cosine + (1 - share) * bm25 / bound + 0.4 * identifiers
with {matching}word as materialized (
    select q.term, t.chunks > 0 as known,
           q.count * ln(1 + (%(chunks)s - least(coalesce(t.chunks, 0), %(chunks)s) + 0.5) / (coalesce(t.chunks, 0) + 0.5)) as idf,
           q.identifier and t.chunks between 1 and greatest(5, %(chunks)s * 0.002) as identifier
    from unnest(%(terms)s::int[], %(counts)s::real[], %(identifiers)s::bool[]) q(term, count, identifier)
    left join retrieval_termcount t on t.tenant_id = %(tenant)s and t.term = q.term),
asked as materialized (
    select coalesce('{' || string_agg(term || ':' || round(idf::numeric, 4), ',' order by term) filter (where known)
                    || '}', '{}') || '/1048576' as lex,
           coalesce('{' || string_agg(term || ':1', ',' order by term) filter (where identifier) || '}', '{}')
               || '/1048576' as identifiers,
           greatest(2.2 * sum(idf), 1e-6) as bound,
           greatest(count(*) filter (where identifier), 1) as identifier_count
    from word),
{candidates}
scored as (
    select c.id, c.document_id, c.version,
           1 - (c.embedding <=> %(vector)s::halfvec(384)) as vector,
           -(c.lex <#> (select lex::sparsevec from asked)) / (select bound from asked) as lexical,
           least(1, -(c.lex <#> (select identifiers::sparsevec from asked)) / (select identifier_count from asked))
               as identifiers
    from {source}
    where c.tenant_id = %(tenant)s and (%(access)s::int[] is null or c.access_id = any(%(access)s::int[])) {within}),
found as (
    select id, document_id, version, vector, lexical,
           %(share)s * greatest(vector, 0) + (1 - %(share)s) * lexical + 0.4 * identifiers as score
    from scored order by score desc, id limit %(most)s)
select f.id as chunk_id, f.document_id, d.external_id, d.title, f.version, t.text, t.page, t.section, t.starts, t.ends,
       f.score, f.vector, f.lexical, d.collection_id
from found f
cross join lateral (
    select text, page, section, starts, ends from retrieval_chunktext where tenant_id = %(tenant)s and id = f.id limit 1) t
cross join lateral (
    select external_id, title, expires_at, collection_id from retrieval_document
    where tenant_id = %(tenant)s and id = f.document_id limit 1) d
where f.score >= %(least)s and (d.expires_at is null or d.expires_at > now())
order by f.score desc, f.id
