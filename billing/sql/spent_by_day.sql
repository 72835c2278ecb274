-- What the open tenant spent on each day from %(since)s to before %(today)s: in all, and by department, user, key and
-- model; those that no budget (%(scopes)s and %(targets)s, in step) is about are left out.
with summed as (
    select day, department_id, user_id, key_id, model_id, sum(cost) as cost,
           case when grouping(department_id) = 0 then 'department' when grouping(user_id) = 0 then 'user'
                when grouping(key_id) = 0 then 'key' when grouping(model_id) = 0 then 'model' else 'tenant' end as scope
    from billing_rollup
    where tenant_id = wall.tenant() and day >= %(since)s and day < %(today)s
    group by grouping sets ((day), (day, department_id), (day, user_id), (day, key_id), (day, model_id))
)
select distinct s.scope, coalesce(s.department_id, s.user_id, s.key_id, s.model_id) as target, s.day, s.cost
from summed s
join unnest(%(scopes)s::text[], %(targets)s::uuid[]) as asked (scope, target)
     on asked.scope = s.scope
    and asked.target is not distinct from coalesce(s.department_id, s.user_id, s.key_id, s.model_id)
