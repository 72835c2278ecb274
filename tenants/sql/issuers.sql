-- The issuers whose tokens are let in, or the one with an id, whatever it is; with their tenant's limits.
select p.id, p.name, p.issuer, p.audience, p.jwks_url, p.algorithms, p.user_claim, p.email_trusted, p.members_only,
       p.department_id, p.department_claim, p.departments, p.role, p.role_claim, p.roles,
       p.clearance, p.clearance_claim, p.clearances, p.rpm, p.tpm, p.clock_skew,
       t.slug as tenant_slug, t.rpm as tenant_rpm, t.tpm as tenant_tpm
from tenants_identityprovider p
join tenants_tenant t on t.id = p.tenant_id
where p.tenant_id = wall.tenant() and (p.id = %(id)s::uuid or (%(id)s::uuid is null and p.active and p.protocol = 'oidc'))
order by p.id
