-- What a metadata filter leaves: its chunks, and its documents as far as it is worth while to name them.
select coalesce(sum(d.chunks), 0)::int as chunks, coalesce((array_agg(d.id))[1:%(most)s + 1], '{}') as documents
from retrieval_document d
where d.tenant_id = %(tenant)s and (%(access)s::int[] is null or d.access_id = any(%(access)s::int[])) and {condition}
