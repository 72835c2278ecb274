-- Leaves of the open tenant's tree, %(count)s of them, from position %(first)s on. They come as one string of bytes: of each
-- the event's id (16) and the hash (32).
insert into audit_leaf (tenant_id, id, position, hash)
select wall.tenant(), encode(substr(packed, place * 48 + 1, 16), 'hex')::uuid, %(first)s + place,
       substr(packed, place * 48 + 17, 32)
from (select %(packed)s::bytea as packed) as given, generate_series(0, %(count)s - 1) as place
