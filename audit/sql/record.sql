-- One event of the open scope, signed by the scope's actor. The same thing within one request is recorded once.
insert into audit_event (
    tenant_id, id, action, decision, reason, request_id, actor_type, actor_id, actor_name, object_type, object_id,
    policy, model, deployment, region, entities, passages, tokens, detail
)
select wall.tenant(), uuidv7(), %(action)s, %(decision)s, %(reason)s, %(request_id)s,
       coalesce(signed ->> 'type', 'sql'), coalesce(signed ->> 'id', ''),
       left(coalesce(signed ->> 'name', current_user::text), 200), %(object_type)s, %(object_id)s,
       '', '', '', '', '{}', '[]', '{}', %(detail)s::jsonb
from (select coalesce(nullif(current_setting('app.actor', true), ''), '{"type": "sql"}')::jsonb as signed)
on conflict do nothing
