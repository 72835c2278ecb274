-- Chunks, their texts, and the lexical index. All carry the number of an access row: its policy decides who sees them.

create extension if not exists vector;

-- One narrow row a chunk. Partitioned by tenant from the start: tenants share the default part, which is searched
-- exactly by tenant; a large one moves to a part of its own with an approximate index. Texts and postings refer to the
-- document and not to the chunk, so that rows can move between parts.
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
) partition by list (tenant_id);

-- Vectors stay in the row: fetched from elsewhere they would cost more than they weigh.
create table retrieval_chunk_shared partition of retrieval_chunk default with (toast_tuple_target = 8160);

create index retrieval_chunk_document on retrieval_chunk (tenant_id, document_id);
create index retrieval_chunk_access on retrieval_chunk (tenant_id, access_id);

create table retrieval_chunktext (
    tenant_id uuid not null default nullif(current_setting('app.tenant', true), '')::uuid,
    id uuid not null,
    document_id uuid not null,
    access_id integer not null,
    text text not null,
    page integer check (page >= 0),
    section varchar(300) not null default '',
    starts integer not null check (starts >= 0),
    ends integer not null check (ends >= starts),
    primary key (tenant_id, id),
    foreign key (tenant_id, document_id) references retrieval_document (tenant_id, id) on delete cascade,
    foreign key (tenant_id, access_id) references retrieval_access (tenant_id, id) deferrable initially deferred
);
create index retrieval_chunktext_document on retrieval_chunktext (tenant_id, document_id);
create index retrieval_chunktext_access on retrieval_chunktext (tenant_id, access_id);

-- A chunk under each of its most telling terms, the heaviest first. A b-tree on plain types, because behind row-level
-- security no index serves a condition whose operator might leak (arrays, full text, jsonb). Without a primary key:
-- it is derived, written in one place, and a key would weigh as much as the rows.
create table retrieval_posting (
    tenant_id uuid not null default nullif(current_setting('app.tenant', true), '')::uuid,
    chunk_id uuid not null,
    document_id uuid not null,
    term integer not null,
    access_id integer not null,
    weight real not null,
    foreign key (tenant_id, document_id) references retrieval_document (tenant_id, id) on delete cascade
) with (autovacuum_vacuum_insert_scale_factor = 0.05);  -- index-only scans live on a fresh visibility map
create index retrieval_posting_term on retrieval_posting (tenant_id, term, weight desc) include (chunk_id, access_id);
create index retrieval_posting_document on retrieval_posting (tenant_id, document_id);

-- In how many chunks of the tenant a term occurs; term 0 counts the chunks.
create table retrieval_termcount (
    tenant_id uuid not null default nullif(current_setting('app.tenant', true), '')::uuid,
    term integer not null,
    chunks integer not null,
    primary key (tenant_id, term)
) with (fillfactor = 80);

do $$
declare
    seen constant text := 'tenant_id = wall.tenant() and access_id in (select unnest(retrieval.readable_access()))';
    own constant text := 'tenant_id = wall.tenant()';
    every constant text := 'select, insert, update, delete';
begin
    perform wall.protect('retrieval_chunk', seen, seen, every);
    perform wall.protect('retrieval_chunktext', seen, seen, every);
    perform wall.protect('retrieval_posting', seen, seen, every);
    perform wall.protect('retrieval_termcount', own, own, every);
    -- the policies of the whole do not hold for who asks a part by its own name
    perform wall.protect('retrieval_chunk_shared', seen, seen, every);
end $$;
