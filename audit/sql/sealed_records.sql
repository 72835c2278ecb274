-- Sealed records of the open tenant between two positions, in their order, with the hashes that were sealed. A record
-- whose event is gone is null.
select l.position, l.id, l.hash, case when e.id is not null then audit.record_1(e)::text end
from audit_leaf l
left join audit_event e on e.tenant_id = l.tenant_id and e.id = l.id
where l.tenant_id = wall.tenant() and l.position >= %(start)s and l.position < %(end)s
order by l.position
