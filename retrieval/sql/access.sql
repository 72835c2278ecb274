-- Keeps the access number of documents and their chunks in step with what people see and change: collection, departments
-- and classification. Triggers, so that the API, the console, bulk updates and psql cannot differ.

-- The access row of a combination, made if it is the first. Runs with the caller's rights: whoever could not read such
-- a document cannot make its access either.
create or replace function retrieval.access_of(owner uuid, of_collection uuid, of_departments uuid[], at_classification smallint)
returns integer language plpgsql as $$
declare
    found integer;
begin
    for attempt in 1..2 loop
        select id into found from retrieval_access a
        where a.tenant_id = owner and a.collection_id = of_collection
          and a.departments = of_departments and a.classification = at_classification;
        exit when found is not null;
        insert into retrieval_access (tenant_id, collection_id, departments, classification)
        values (owner, of_collection, of_departments, at_classification) on conflict do nothing;
    end loop;
    if found is null then
        raise insufficient_privilege using message = 'these departments and this classification lie outside of the scope';
    end if;
    return found;
end $$;

create or replace function retrieval.in_order(departments uuid[]) returns uuid[] language sql immutable
    return coalesce((select array_agg(distinct department order by department) from unnest(departments) department), '{}');

create or replace function retrieval.set_access() returns trigger language plpgsql as $$
begin
    new.departments := retrieval.in_order(new.departments);
    new.access_id := retrieval.access_of(new.tenant_id, new.collection_id, new.departments, new.classification);
    return new;
end $$;

-- What belongs to a document follows it. While a newer version waits, a change of rights holds for that one as well;
-- a version that starts to answer brings its own and leaves newer ones alone.
create or replace function retrieval.spread_access() returns trigger language plpgsql as $$
begin
    update retrieval_original o set departments = new.departments, classification = new.classification
    where o.tenant_id = new.tenant_id and o.document_id = new.id
      and (new.indexed_version is not distinct from old.indexed_version or o.version <= new.indexed_version);
    update retrieval_posting set access_id = new.access_id
    where tenant_id = new.tenant_id and document_id = new.id and access_id <> new.access_id;
    update retrieval_chunktext set access_id = new.access_id
    where tenant_id = new.tenant_id and document_id = new.id and access_id <> new.access_id;
    update retrieval_chunk set access_id = new.access_id
    where tenant_id = new.tenant_id and document_id = new.id and access_id <> new.access_id;
    return null;
end $$;

create or replace trigger set_access before insert or update of collection_id, departments, classification, access_id
    on retrieval_document for each row execute function retrieval.set_access();
create or replace trigger spread_access after update on retrieval_document for each row
    when (old.access_id <> new.access_id) execute function retrieval.spread_access();

revoke all on function retrieval.access_of(uuid, uuid, uuid[], smallint), retrieval.in_order(uuid[]), retrieval.set_access(),
    retrieval.spread_access() from public;
grant execute on function retrieval.access_of(uuid, uuid, uuid[], smallint), retrieval.in_order(uuid[]) to customhouse_app;
