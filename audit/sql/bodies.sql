-- What went out and came back in calls of one tenant, sealed, as one batch brings it (the parameter is an array of
-- objects). A row that is there already (the answer to its commit was lost) changes nothing.
insert into audit_body (tenant_id, id, mode, actor_id, user_id, department_id, key, sealed, created_at, expires_at)
select wall.tenant(), r.id, r.mode, r.actor_id, r.user_id, r.department_id, decode(r.key, 'base64'), decode(r.sealed, 'base64'),
       now(), now() + make_interval(days => r.days)
from jsonb_to_recordset($1::jsonb) as r (
    id uuid, mode text, actor_id text, user_id uuid, department_id uuid, key text, sealed text, days int
)
on conflict do nothing
