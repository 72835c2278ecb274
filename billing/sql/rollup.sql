-- Keeps billing_rollup in step with the ledger: every statement that adds to the ledger adds the sums of its rows, in
-- the same transaction, whoever writes. Rows are only added, so that writers never wait for each other; compact.sql
-- merges them later.

create schema if not exists billing;
grant usage on schema billing to customhouse_app;

create or replace function billing.roll_up() returns trigger language plpgsql as $$
begin
    insert into public.billing_rollup (
        tenant_id, id, day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
        calls, attempts, estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        reasoning_tokens, cost, last_at, merged
    )
    select tenant_id, uuidv7(), (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
           deployment_id, deployment, collections,
           count(*) filter (where final), count(*), count(*) filter (where final and estimated), sum(input_tokens),
           sum(cached_input_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost),
           max(time), false
    from fresh
    group by tenant_id, (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
             deployment_id, deployment, collections;
    return null;
end $$;

revoke all on function billing.roll_up() from public;

create or replace trigger roll_up after insert on billing_usage
    referencing new table as fresh for each statement execute function billing.roll_up();

-- What the ledger held before there were roll-ups, tenant by tenant: the wall binds the owner as well.
do $$
declare whose uuid;
begin
    perform set_config('app.tenant', wall.platform()::text, true);
    for whose in select id from tenants_tenant order by id loop
        perform set_config('app.tenant', whose::text, true);
        insert into billing_rollup (
            tenant_id, id, day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
            calls, attempts, estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
            reasoning_tokens, cost, last_at, merged
        )
        select tenant_id, uuidv7(), (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
               deployment_id, deployment, collections,
               count(*) filter (where final), count(*), count(*) filter (where final and estimated), sum(input_tokens),
               sum(cached_input_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost),
               max(time), true
        from billing_usage where tenant_id = whose
        group by tenant_id, (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
                 deployment_id, deployment, collections;
        perform set_config('app.tenant', wall.platform()::text, true);
    end loop;
    perform set_config('app.tenant', '', true);
end $$;
