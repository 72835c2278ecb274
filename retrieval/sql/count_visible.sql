-- How many chunks a narrowed search would look at, counted no further than matters.
select count(*) as chunks from (
    select 1 from retrieval_chunk c
    where c.tenant_id = %(tenant)s and (%(access)s::int[] is null or c.access_id = any(%(access)s::int[]))
    limit %(most)s + 1) few
