-- Events of the open tenant without a leaf, in the order of writing: for the first seal, and when a snapshot tells
-- nothing because the data was moved to another cluster. Reads all there is.
select e.id, audit.record_1(e)::text, pg_current_snapshot()::text
from audit_event e
where e.tenant_id = wall.tenant()
  and e.xact is distinct from pg_current_xact_id()
  and not exists (select from audit_leaf l where l.tenant_id = e.tenant_id and l.id = e.id)
order by e.seq, e.id
