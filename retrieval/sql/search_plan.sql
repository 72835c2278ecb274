-- What the search needs to know first: how many chunks the tenant has, which of the named collections the caller sees,
-- and the access rows that remain (cut off when they are too many to name: the row policies decide alone then).
-- It also sets how far an approximate index looks, for the statement that follows in this transaction. `part` is about how
-- many chunks lie in the tenant's part of the table, other tenants' included: what that index is made of.
select coalesce((select chunks from retrieval_termcount where tenant_id = %(tenant)s and term = 0), 0) as chunks,
       coalesce((select c.reltuples from generate_series(0, 15) part
                 join pg_class c on c.oid = to_regclass('retrieval_chunk_' || part)
                 where satisfies_hash_partition('retrieval_chunk'::regclass, 16, part, %(tenant)s::uuid)), 0)::int8 as part,
       (select coalesce(array_agg(array[id::text, name]), '{}') from retrieval_collection
        where tenant_id = %(tenant)s and %(named)s
          and (name = any(%(names)s::text[]) or id = any(%(ids)s::uuid[]))) as collections,
       (select coalesce(array_agg(id), '{}') from (
            select a.id from retrieval_access a
            where a.tenant_id = %(tenant)s and (not %(named)s or a.collection_id in (
                select c.id from retrieval_collection c
                where c.tenant_id = %(tenant)s and (c.name = any(%(names)s::text[]) or c.id = any(%(ids)s::uuid[]))))
            limit case when %(named)s then null else %(most)s + 1 end) few) as access,
       set_config('hnsw.iterative_scan', 'relaxed_order', true),
       set_config('hnsw.ef_search', '200', true),
       set_config('hnsw.max_scan_tuples', '40000', true)
