-- Every deployment that may answer for a model of the open tenant, its own and the platform's.
select m.id as model_id, m.name as model_name, m.strategy, m.tenant_id = wall.tenant() as own, m.created_at,
       r.weight, r.priority,
       d.id as deployment_id, d.name as deployment_name, d.upstream_model, d.capabilities, d.max_concurrency,
       d.timeout_s, d.first_token_timeout_s, d.max_output_tokens, d.max_input_tokens,
       p.id as provider_id, p.name as provider_name, p.kind, p.base_url, p.vendor, p.region, p.self_hosted,
       p.credential, p.tenant_id as provider_tenant
from gateway_model m
join gateway_route r on r.model_id = m.id and r.tenant_id = m.tenant_id
join gateway_deployment d on d.id = r.deployment_id
join gateway_provider p on p.id = d.provider_id
order by m.name, r.priority, r.id
