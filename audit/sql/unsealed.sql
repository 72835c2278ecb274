-- Events of the open tenant that are committed now and were not when the last seal was made (%(seen)s, its snapshot), in
-- the order of writing. Exact whatever runs beside: an event is visible in one snapshot and not in the one before, once.
-- The transaction that seals leaves what it writes itself to the next seal.
select e.id, audit.record_1(e)::text, pg_current_snapshot()::text
from audit_event e
where e.tenant_id = wall.tenant()
  and e.xact >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
  and not pg_visible_in_snapshot(e.xact, %(seen)s::pg_snapshot)
  and e.xact <> pg_current_xact_id()
order by e.seq, e.id
