-- Intents of dead workers (%(workers)s) that no outcome followed, written since %(since)s (ids rise with time).
select i.id, i.request_id, i.actor_type, i.actor_id, i.actor_name, i.department_id, i.policy, i.model, i.deployment,
       i.region, i.entities, i.passages, i.detail
from audit_event i
where i.tenant_id = wall.tenant() and i.id >= %(since)s and i.action = 'call.intent'
  and i.detail ->> 'worker' = any(%(workers)s)
  and not exists (
      select from audit_event o
      where o.tenant_id = i.tenant_id and o.request_id = i.request_id and o.action = 'call.outcome'
  )
order by i.id
limit %(most)s
