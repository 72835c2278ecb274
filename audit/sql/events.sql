-- Intents and refusals of one tenant, as one batch of the journal brings them (the parameter is an array of objects).
-- A row that is there already (the answer to its commit was lost) changes nothing.
insert into audit_event (
    tenant_id, id, action, decision, reason, request_id, actor_type, actor_id, actor_name, department_id,
    object_type, object_id, policy, model, deployment, region, entities, passages, tokens, detail
)
select wall.tenant(), r.id, r.action, coalesce(r.decision, 'allow'), coalesce(r.reason, ''), r.request_id,
       r.actor_type, coalesce(r.actor_id, ''), r.actor_name, r.department_id,
       '', '', r.policy, r.model, coalesce(r.deployment, ''), coalesce(r.region, ''),
       coalesce(r.entities, '{}'), coalesce(r.passages, '[]'), '{}', coalesce(r.detail, '{}')
from jsonb_to_recordset($1::jsonb) as r (
    id uuid, action text, decision text, reason text, request_id uuid, actor_type text, actor_id text,
    actor_name text, department_id uuid, policy text, model text, deployment text, region text,
    entities jsonb, passages jsonb, detail jsonb
)
on conflict do nothing
