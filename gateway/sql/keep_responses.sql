-- Answers of one tenant that conversations may go on from, as a batch brings them (the parameter is an array of
-- objects). A row that is there already (the answer to its commit was lost) changes nothing.
insert into gateway_storedresponse (tenant_id, id, owner, sealed, created_at, expires_at)
select wall.tenant(), r.id, r.owner, decode(r.sealed, 'base64'), now(), now() + make_interval(days => r.days)
from jsonb_to_recordset($1::jsonb) as r (id uuid, owner uuid, sealed text, days int)
on conflict do nothing
