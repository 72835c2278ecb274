-- Chunks lie in parts by a hash of their tenant, and each part has an approximate index of its vectors. A tenant's chunks
-- are all in one part; one that is large makes up most of it, so that the index finds its own. Small tenants are searched
-- exactly, by tenant. No part is made or indexed while the house is open, which the application's role could not do.
alter table retrieval_chunk no force row level security;
alter table retrieval_chunk_shared no force row level security;
alter table retrieval_chunk rename to retrieval_chunk_listed;
alter index retrieval_chunk_document rename to retrieval_chunk_listed_document;
alter index retrieval_chunk_access rename to retrieval_chunk_listed_access;
alter table retrieval_chunk_listed rename constraint retrieval_chunk_pkey to retrieval_chunk_listed_pkey;

create table retrieval_chunk (
    tenant_id uuid not null default nullif(current_setting('app.tenant', true), '')::uuid,
    id uuid not null,
    document_id uuid not null,
    access_id integer not null,
    version integer not null check (version >= 0),
    ordinal integer not null check (ordinal >= 0),
    embedding halfvec(384) not null,
    lex sparsevec(1048576) not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, document_id) references retrieval_document (tenant_id, id) on delete cascade,
    foreign key (tenant_id, access_id) references retrieval_access (tenant_id, id) deferrable initially deferred
) partition by hash (tenant_id);

do $$
declare
    seen constant text := 'tenant_id = wall.tenant() and access_id in (select unnest(retrieval.readable_access()))';
    every constant text := 'select, insert, update, delete';
    parts constant int := 16;
    part text;
begin
    perform wall.protect('retrieval_chunk', seen, seen, every);
    for number in 0 .. parts - 1 loop
        part := format('retrieval_chunk_%s', number);
        -- vectors stay in the row: fetched from elsewhere they would cost more than they weigh
        execute format('create table %I partition of retrieval_chunk for values with (modulus %s, remainder %s)
                        with (toast_tuple_target = 8160)', part, parts, number);
        -- the policies of the whole do not hold for who asks a part by its own name
        perform wall.protect(part, seen, seen, every);
        execute format('alter table %I no force row level security', part);
    end loop;
    alter table retrieval_chunk no force row level security;
    insert into retrieval_chunk (tenant_id, id, document_id, access_id, version, ordinal, embedding, lex)
        select tenant_id, id, document_id, access_id, version, ordinal, embedding, lex from retrieval_chunk_listed;
    set constraints all immediate;
    drop table retrieval_chunk_listed;
    alter table retrieval_chunk force row level security;
    for number in 0 .. parts - 1 loop
        execute format('alter table %I force row level security', format('retrieval_chunk_%s', number));
    end loop;
end $$;

create index retrieval_chunk_document on retrieval_chunk (tenant_id, document_id);
create index retrieval_chunk_access on retrieval_chunk (tenant_id, access_id);
create index retrieval_chunk_nearest on retrieval_chunk using hnsw (embedding halfvec_cosine_ops);
