-- Makes the open tenant's roll-ups of the days from %(first_day)s to before %(last_day)s anew from the ledger and its corrections: one
-- statement, so that what is written meanwhile is counted once.
with gone as (
    delete from billing_rollup
    where tenant_id = wall.tenant() and day >= %(first_day)s::date and day < %(last_day)s::date
)
insert into billing_rollup (
    tenant_id, id, day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
    calls, attempts, estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
    reasoning_tokens, cost, last_at, merged
)
select tenant_id, uuidv7(), (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model,
       deployment_id, deployment, collections,
       count(*) filter (where final), sum(attempts), count(*) filter (where final and estimated), sum(input_tokens),
       sum(cached_input_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost),
       max(time), true
from (
    select tenant_id, time, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
           final, estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
           cost, 1 as attempts
    from billing_usage where tenant_id = wall.tenant()
    union all
    select tenant_id, time, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
           false, false, 0, 0, 0, 0, 0, cost, 0
    from billing_correction where tenant_id = wall.tenant()
) both_tables
where time >= %(first_day)s::date::timestamp at time zone 'UTC'
  and time < %(last_day)s::date::timestamp at time zone 'UTC'
group by tenant_id, (time at time zone 'UTC')::date, department_id, user_id, key_id, model_id, model, deployment_id,
         deployment, collections
