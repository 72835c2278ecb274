-- One writer of a tenant's index at a time, until the transaction ends: counts are added term by term, and two documents
-- that share words would otherwise wait for each other in different orders.
select pg_advisory_xact_lock(hashtextextended('retrieval/' || wall.tenant(), 0))
