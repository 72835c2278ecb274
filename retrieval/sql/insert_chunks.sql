-- Chunks and, beside them, their texts.
with chunk as (
    insert into retrieval_chunk (id, document_id, access_id, version, ordinal, embedding, lex)
    select id, %(document)s, %(access)s, %(version)s, ordinal, embedding::halfvec(384), lex::sparsevec(1048576)
    from unnest(%(ids)s::uuid[], %(ordinals)s::int[], %(embeddings)s::text[], %(lexes)s::text[])
        given(id, ordinal, embedding, lex))
insert into retrieval_chunktext (id, document_id, access_id, text, page, section, starts, ends)
select id, %(document)s, %(access)s, text, page, section, starts, ends
from unnest(%(ids)s::uuid[], %(texts)s::text[], %(pages)s::int[], %(sections)s::text[], %(starts)s::int[],
            %(ends)s::int[]) given(id, text, page, section, starts, ends)
