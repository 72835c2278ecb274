-- The living keys of the open tenant, each with its department, its person's membership and what it may search.
-- A person's key without a membership is no key.
select k.id, k.public_id, k.digest, k.name, k.role, k.clearance, k.user_id, k.model_names, k.scopes, k.rpm, k.tpm,
       k.ip_allow, least(k.expires_at, k.revoked_at) as expires_at, k.department_id,
       d.slug as department_slug, t.slug as tenant_slug, t.rpm as tenant_rpm, t.tpm as tenant_tpm,
       m.role as member_role, m.clearance as member_clearance,
       coalesce((select array_agg(x.department_id) from tenants_apikeydepartment x
                 where x.tenant_id = k.tenant_id and x.key_id = k.id), '{}') as departments
from tenants_apikey k
join tenants_tenant t on t.id = k.tenant_id
left join tenants_department d on d.tenant_id = k.tenant_id and d.id = k.department_id
left join tenants_membership m on m.tenant_id = k.tenant_id and m.user_id = k.user_id
where k.tenant_id = wall.tenant()
  and (k.revoked_at is null or k.revoked_at > now())
  and (k.expires_at is null or k.expires_at > now())
  and (k.user_id is null or m.id is not null)
