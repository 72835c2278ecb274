-- Calls of the open tenant that began or ended between two times and lack their other half: what is missing, how often,
-- and some of the requests. Ids rise with time; %(first)s and %(last)s bound them.
with missing as (
    select 'intent without outcome' as what, i.request_id
    from audit_event i
    where i.tenant_id = wall.tenant() and i.id >= %(first)s and i.id < %(last)s and i.action = 'call.intent'
      and i.time >= %(since)s and i.time < %(until)s
      and not exists (select from audit_event o where o.tenant_id = i.tenant_id and o.request_id = i.request_id
                      and o.action = 'call.outcome' and o.object_id = '')
    union all
    select 'outcome without intent', o.request_id
    from audit_event o
    where o.tenant_id = wall.tenant() and o.id >= %(first)s and o.id < %(last)s and o.action = 'call.outcome'
      and o.time >= %(since)s and o.time < %(until)s
      and not exists (select from audit_event i where i.tenant_id = o.tenant_id and i.request_id = o.request_id
                      and i.action = 'call.intent' and i.object_id = '')
)
select what, count(*), (array_agg(request_id::text order by request_id))[:5] from missing group by what order by what
