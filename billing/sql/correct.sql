-- Keeps billing_rollup in step with corrections of the ledger: they change costs of the day of the corrected row, and
-- count nothing.
create or replace function billing.roll_up_corrections() returns trigger language plpgsql as $$
begin
    insert into public.billing_rollup (
        tenant_id, id, day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
        calls, attempts, estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        reasoning_tokens, cost, last_at, merged
    )
    select tenant_id, uuidv7(), (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
           deployment_id, deployment, collections, 0, 0, 0, 0, 0, 0, 0, 0, sum(cost), max(time), false
    from fresh
    group by tenant_id, (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
             deployment_id, deployment, collections;
    return null;
end $$;

revoke all on function billing.roll_up_corrections() from public;

create or replace trigger roll_up after insert on billing_correction
    referencing new table as fresh for each statement execute function billing.roll_up_corrections();
