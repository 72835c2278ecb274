-- From which position to which (not included) the records of a time reach, among those between two positions.
select min(l.position), max(l.position) + 1
from audit_leaf l
join audit_event e on e.tenant_id = l.tenant_id and e.id = l.id
where l.tenant_id = wall.tenant() and l.position >= %(start)s and l.position < %(end)s
  and (%(since)s::timestamptz is null or e.time >= %(since)s) and (%(until)s::timestamptz is null or e.time < %(until)s)
