-- Days of the open tenant, from %(first_day)s to before %(last_day)s, whose roll-ups are not the sums of the ledger and
-- its corrections: of both, everything is added with opposite signs, and nothing may be left. %(first)s and %(last)s
-- bound the ids of the ledger's rows of these days (null: no bound).
with both_sides as (
    select (u.time at time zone 'UTC')::date as day, u.department_id, u.user_id, u.key_id, u.model_id, u.model,
           u.deployment_id, u.deployment, u.collections, count(*) filter (where u.final) as calls, count(*) as attempts,
           count(*) filter (where u.final and u.estimated) as estimated, sum(u.input_tokens) as input_tokens,
           sum(u.cached_input_tokens) as cached_input_tokens, sum(u.cache_write_tokens) as cache_write_tokens,
           sum(u.output_tokens) as output_tokens, sum(u.reasoning_tokens) as reasoning_tokens, sum(u.cost) as cost
    from billing_usage u
    where u.tenant_id = wall.tenant()
      and (%(first)s::uuid is null or u.id >= %(first)s) and (%(last)s::uuid is null or u.id < %(last)s)
      and u.time >= %(first_day)s::date::timestamp at time zone 'UTC'
      and u.time < %(last_day)s::date::timestamp at time zone 'UTC'
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
    union all
    select (c.time at time zone 'UTC')::date, c.department_id, c.user_id, c.key_id, c.model_id, c.model,
           c.deployment_id, c.deployment, c.collections, 0, 0, 0, 0, 0, 0, 0, 0, c.cost
    from billing_correction c
    where c.tenant_id = wall.tenant()
      and c.time >= %(first_day)s::date::timestamp at time zone 'UTC'
      and c.time < %(last_day)s::date::timestamp at time zone 'UTC'
    union all
    select day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections, -calls,
           -attempts, -estimated, -input_tokens, -cached_input_tokens, -cache_write_tokens, -output_tokens,
           -reasoning_tokens, -cost
    from billing_rollup
    where tenant_id = wall.tenant() and day >= %(first_day)s::date and day < %(last_day)s::date
), wrong as (
    select day
    from both_sides
    group by day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections
    having (sum(calls), sum(attempts), sum(estimated), sum(input_tokens), sum(cached_input_tokens),
            sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost))
           <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
)
select 'roll-ups and ledger differ', count(*), (array_agg(distinct day::text order by day::text))[:5]
from wrong having count(*) > 0
