insert into retrieval_posting (chunk_id, document_id, term, weight, access_id)
select chunk_id, %(document)s, term, weight, %(access)s
from unnest(%(chunks)s::uuid[], %(terms)s::int[], %(weights)s::real[]) given(chunk_id, term, weight)
