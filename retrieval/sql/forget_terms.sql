-- Takes a document's chunks out of the counts of their terms, before the chunks go.
with chunk as materialized (
    select lex::text as lex from retrieval_chunk where tenant_id = wall.tenant() and document_id = %(document)s),
gone as (
    select split_part(pair, ':', 1)::int as term, count(*) as chunks
    from chunk, string_to_table(nullif(substring(lex from '{(.*)}'), ''), ',') pair group by 1
    union all
    select 0, count(*) from chunk)
update retrieval_termcount t set chunks = greatest(0, t.chunks - gone.chunks)
from gone where t.tenant_id = wall.tenant() and t.term = gone.term
