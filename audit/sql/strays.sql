-- Events of the open tenant that a seal should have taken in (its snapshot %(seen)s saw them) and that have no leaf.
select e.id, e.action
from audit_event e
where e.tenant_id = wall.tenant()
  and (e.xact is null or pg_visible_in_snapshot(e.xact, %(seen)s::pg_snapshot))
  and not exists (select from audit_leaf l where l.tenant_id = e.tenant_id and l.id = e.id)
order by e.id
limit 20
