-- The open tenant's usage between two moments, grouped by what is asked for: a group that is not asked for is null and
-- so one for all. Whole days (%(first_day)s to before %(last_day)s) are read from the roll-ups, what is left of a day at
-- either end (head and tail: two times, and bounds of the ids made between them; null: nothing) from the ledger
-- and its corrections.
-- `calls` counts calls: only the attempt that ended a call counts as one. A name that changed is shown as it was last;
-- one that is gone is its id.
with parts as (
    select day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections, calls,
           estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost
    from billing_rollup
    where tenant_id = wall.tenant() and day >= %(first_day)s::date and day < %(last_day)s::date
    union all
    select (u.time at time zone 'UTC')::date, u.department_id, u.user_id, u.key_id, u.model_id, u.model,
           u.deployment_id, u.deployment, u.collections, u.final::int, (u.final and u.estimated)::int,
           u.input_tokens, u.cached_input_tokens, u.cache_write_tokens, u.output_tokens, u.reasoning_tokens, u.cost
    from billing_usage u
    where u.tenant_id = wall.tenant() and u.id >= %(head_first)s::uuid and u.id < %(head_last)s::uuid
      and u.time >= %(head_since)s::timestamptz and u.time < %(head_until)s::timestamptz
    union all
    select (u.time at time zone 'UTC')::date, u.department_id, u.user_id, u.key_id, u.model_id, u.model,
           u.deployment_id, u.deployment, u.collections, u.final::int, (u.final and u.estimated)::int,
           u.input_tokens, u.cached_input_tokens, u.cache_write_tokens, u.output_tokens, u.reasoning_tokens, u.cost
    from billing_usage u
    where u.tenant_id = wall.tenant() and u.id >= %(tail_first)s::uuid and u.id < %(tail_last)s::uuid
      and u.time >= %(tail_since)s::timestamptz and u.time < %(tail_until)s::timestamptz
    union all
    select (c.time at time zone 'UTC')::date, c.department_id, c.user_id, c.key_id, c.model_id, c.model,
           c.deployment_id, c.deployment, c.collections, 0, 0, 0, 0, 0, 0, 0, c.cost
    from billing_correction c
    where c.tenant_id = wall.tenant()
      and (c.time >= %(head_since)s::timestamptz and c.time < %(head_until)s::timestamptz
           or c.time >= %(tail_since)s::timestamptz and c.time < %(tail_until)s::timestamptz)
), grouped as (
    select case when %(department)s then u.department_id end as department_id,
           case when %(user)s then u.user_id end as user_id,
           case when %(key)s then u.key_id end as key_id,
           case when %(model)s then coalesce(u.model_id::text, u.model) end as model_id,
           case when %(deployment)s then coalesce(u.deployment_id::text, u.deployment) end as deployment_id,
           case when %(collection)s then array_to_string(u.collections, ',') end as collection_id,
           case when %(day)s then to_char(u.day, 'YYYY-MM-DD') end as day,
           max(u.model) as model, max(u.deployment) as deployment,
           sum(u.calls) as calls, sum(u.estimated) as estimated,
           sum(u.input_tokens) as input_tokens, sum(u.cached_input_tokens) as cached_input_tokens,
           sum(u.cache_write_tokens) as cache_write_tokens, sum(u.output_tokens) as output_tokens,
           sum(u.reasoning_tokens) as reasoning_tokens, sum(u.cost) as cost
    from parts u
    where (%(departments)s::uuid[] is null or u.department_id = any(%(departments)s))
      and (%(users)s::uuid[] is null or u.user_id = any(%(users)s))
      and (%(keys)s::uuid[] is null or u.key_id = any(%(keys)s))
      and (%(models)s::text[] is null or coalesce(u.model_id::text, u.model) = any(%(models)s))
    group by 1, 2, 3, 4, 5, 6, 7
)
select g.*, coalesce(d.slug, g.department_id::text) as department, coalesce(k.name, g.key_id::text) as key,
       coalesce(nullif(p.name, ''), p.email, g.user_id::text) as user
from grouped g
left join tenants_department d on d.tenant_id = wall.tenant() and d.id = g.department_id
left join tenants_apikey k on k.tenant_id = wall.tenant() and k.id = g.key_id
left join tenants_user p on p.id = g.user_id
order by g.day, department, g.model, "user", "key", g.deployment, g.collection_id
