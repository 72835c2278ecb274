-- Candidates of the hybrid search: the nearest by vector, from the approximate index of the tenant's part, and the best by
-- the postings of each term, identifiers before all.
near as materialized (
    select c.id from retrieval_chunk c
    where c.tenant_id = %(tenant)s and (%(access)s::int[] is null or c.access_id = any(%(access)s::int[])) {within}
    order by c.embedding <=> %(vector)s::halfvec(384) limit %(nearest)s),
worded as materialized (
    select p.chunk_id as id
    from word cross join lateral (
        select chunk_id, weight from retrieval_posting
        where tenant_id = %(tenant)s and term = word.term
          and (%(access)s::int[] is null or access_id = any(%(access)s::int[]))
        order by weight desc limit %(per_term)s) p
    group by p.chunk_id
    order by sum(p.weight * word.idf * case when word.identifier then 10 else 1 end) desc limit %(worded)s),
candidate as (select id from near union select id from worded),
