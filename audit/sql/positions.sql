-- The positions of a request's sealed records.
select l.position
from audit_event e
join audit_leaf l on l.tenant_id = e.tenant_id and l.id = e.id
where e.tenant_id = wall.tenant() and e.request_id = %(request_id)s
  and (%(since)s::timestamptz is null or e.time >= %(since)s) and (%(until)s::timestamptz is null or e.time < %(until)s)
  and (%(events)s::uuid[] is null or e.id = any(%(events)s))
order by l.position
