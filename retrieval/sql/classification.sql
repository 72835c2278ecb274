-- The highest classification among some documents, as far as the open scope may read them.
select max(classification) as highest from retrieval_document
where tenant_id = wall.tenant() and id = any(%(documents)s::uuid[])
