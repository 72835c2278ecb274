-- The open tenant's usage between two moments, grouped by what is asked for: a group that is not asked for is null and
-- so one for all. `calls` counts calls: only the attempt that ended a call counts as one. A name that changed is
-- shown as it was last; one that is gone is its id.
with grouped as (
    select case when %(department)s then u.department_id end as department_id,
           case when %(user)s then u.user_id end as user_id,
           case when %(key)s then u.key_id end as key_id,
           case when %(model)s then coalesce(u.model_id::text, u.model) end as model_id,
           case when %(deployment)s then coalesce(u.deployment_id::text, u.deployment) end as deployment_id,
           case when %(day)s then to_char(u.time at time zone 'UTC', 'YYYY-MM-DD') end as day,
           max(u.model) as model, max(u.deployment) as deployment,
           count(*) filter (where u.final) as calls,
           count(*) filter (where u.final and u.estimated) as estimated,
           sum(u.input_tokens) as input_tokens, sum(u.cached_input_tokens) as cached_input_tokens,
           sum(u.cache_write_tokens) as cache_write_tokens, sum(u.output_tokens) as output_tokens,
           sum(u.reasoning_tokens) as reasoning_tokens, sum(u.cost) as cost
    from billing_usage u
    where u.tenant_id = wall.tenant()
      and (%(first)s::uuid is null or u.id >= %(first)s) and (%(since)s::timestamptz is null or u.time >= %(since)s)
      and (%(last)s::uuid is null or u.id < %(last)s) and (%(until)s::timestamptz is null or u.time < %(until)s)
      and (%(departments)s::uuid[] is null or u.department_id = any(%(departments)s))
      and (%(users)s::uuid[] is null or u.user_id = any(%(users)s))
      and (%(keys)s::uuid[] is null or u.key_id = any(%(keys)s))
    group by 1, 2, 3, 4, 5, 6
)
select g.*, coalesce(d.slug, g.department_id::text) as department, coalesce(k.name, g.key_id::text) as key,
       coalesce(nullif(p.name, ''), p.email, g.user_id::text) as user
from grouped g
left join tenants_department d on d.tenant_id = wall.tenant() and d.id = g.department_id
left join tenants_apikey k on k.tenant_id = wall.tenant() and k.id = g.key_id
left join tenants_user p on p.id = g.user_id
order by g.day, department, g.model, "user", "key", g.deployment
