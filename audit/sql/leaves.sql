-- Leaves of the open tenant's tree, from position %(first)s on.
insert into audit_leaf (tenant_id, id, position, hash)
select wall.tenant(), l.id, %(first)s + l.place - 1, l.hash
from unnest(%(events)s::uuid[], %(hashes)s::bytea[]) with ordinality as l (id, hash, place)
