-- Inner nodes of the open tenant's tree that are kept, so that a proof reads hundreds of hashes and not millions.
insert into audit_node (tenant_id, id, height, index, hash)
select wall.tenant(), uuidv7(), n.*
from unnest(%(heights)s::int2[], %(indexes)s::int8[], %(hashes)s::bytea[]) as n
