-- What the open scope may read, for the policies of the tables that hang on it. Functions in plpgsql, because the plans
-- inside are kept by the session: as subqueries they would be planned anew for every table of every search, which costs
-- more than the search. They run with the caller's rights, so the row policies of what they read hold in them.

create schema if not exists retrieval;
grant usage on schema retrieval to customhouse_app;

create or replace function retrieval.readable_collections() returns uuid[] language plpgsql stable as $$
begin
    return array(select id from public.retrieval_collection where tenant_id = wall.tenant());
end $$;

create or replace function retrieval.readable_access() returns integer[] language plpgsql stable as $$
begin
    return array(select id from public.retrieval_access where tenant_id = wall.tenant());
end $$;

revoke all on all functions in schema retrieval from public;
grant execute on function retrieval.readable_collections(), retrieval.readable_access() to customhouse_app;
