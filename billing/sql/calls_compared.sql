-- Calls of the open tenant that ended between two times and whose outcome and ledger disagree: what is wrong, how often,
-- and some of the requests. Every attempt is a row of the ledger; the row that ended a call has its outcome's id.
with ended as (
    select o.id, o.request_id, coalesce(o.cost, 0) as cost, o.deployment <> '' as attempted
    from audit_event o
    where o.tenant_id = wall.tenant() and o.id >= %(first)s and o.id < %(last)s and o.action = 'call.outcome'
      and o.time >= %(since)s and o.time < %(until)s
), charged as (
    select u.request_id, sum(u.cost) as cost, count(*) filter (where u.final) as finals, max(u.attempt) as attempts,
           count(*) as rows, (array_agg(u.id) filter (where u.final))[1] as final_id
    from billing_usage u
    where u.tenant_id = wall.tenant() and u.id >= %(first)s and u.id < %(last)s
      and u.time >= %(since)s and u.time < %(until)s
    group by u.request_id
), wrong as (
    select case when c.request_id is null and e.attempted then 'outcome without usage'
                when c.request_id is null and e.cost <> 0 then 'outcome without usage'
                when c.cost <> e.cost then 'outcome and ledger differ in cost'
                when c.finals <> 1 or c.final_id <> e.id then 'ledger without the attempt that ended the call'
                when c.rows <> c.attempts then 'attempt without a row in the ledger' end as what,
           e.request_id
    from ended e left join charged c using (request_id)
    union all
    select 'usage without outcome', c.request_id
    from charged c
    where not exists (select from audit_event o where o.tenant_id = wall.tenant() and o.request_id = c.request_id
                      and o.action = 'call.outcome' and o.object_id = '')
)
select what, count(*), (array_agg(request_id::text order by request_id))[:5]
from wrong where what is not null group by what order by what
