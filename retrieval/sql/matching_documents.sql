-- What a metadata filter leaves: its chunks, its documents, and their ids as text unless they are too many to name.
select coalesce(sum(d.chunks), 0)::int as chunks, count(*) as found,
       case when count(*) <= %(most)s then coalesce(array_agg(d.id), '{}')::text end as documents
from retrieval_document d
where d.tenant_id = %(tenant)s and (%(access)s::int[] is null or d.access_id = any(%(access)s::int[])) and {condition}
