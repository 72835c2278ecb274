-- The living keys of the open tenant, each with its department, what it may search, its person's membership and that of
-- the person who made it. With a public id: that key and those that it was made by. A key of or by a person without a
-- membership is no key.
with recursive wanted (id) as (
    select k.id from tenants_apikey k
    where k.tenant_id = wall.tenant() and (%(public_id)s::text is null or k.public_id = %(public_id)s)
    union
    select k.made_by_key from wanted w
    join tenants_apikey k on k.tenant_id = wall.tenant() and k.id = w.id
    where k.made_by_key is not null
)
select k.id, k.public_id, k.digest, k.name, k.role, k.clearance, k.user_id, k.model_names, k.scopes, k.rpm, k.tpm,
       k.ip_allow, least(k.expires_at, k.revoked_at) as expires_at, k.department_id, k.made_by_key, k.made_by_user,
       d.slug as department_slug, t.slug as tenant_slug, t.rpm as tenant_rpm, t.tpm as tenant_tpm,
       m.role as member_role, m.clearance as member_clearance,
       case when m.id is not null then coalesce((select array_agg(x.department_id) from tenants_membershipdepartment x
            where x.tenant_id = m.tenant_id and x.membership_id = m.id), '{}') end as member_departments,
       p.role as maker_role, p.clearance as maker_clearance,
       case when p.id is not null then coalesce((select array_agg(x.department_id) from tenants_membershipdepartment x
            where x.tenant_id = p.tenant_id and x.membership_id = p.id), '{}') end as maker_departments,
       coalesce((select array_agg(x.department_id) from tenants_apikeydepartment x
                 where x.tenant_id = k.tenant_id and x.key_id = k.id), '{}') as departments
from wanted
join tenants_apikey k on k.tenant_id = wall.tenant() and k.id = wanted.id
join tenants_tenant t on t.id = k.tenant_id
left join tenants_department d on d.tenant_id = k.tenant_id and d.id = k.department_id
left join tenants_membership m on m.tenant_id = k.tenant_id and m.user_id = k.user_id
left join tenants_membership p on p.tenant_id = k.tenant_id and p.user_id = k.made_by_user
where (k.revoked_at is null or k.revoked_at > now())
  and (k.expires_at is null or k.expires_at > now())
  and (k.user_id is null or m.id is not null)
  and (k.made_by_user is null or p.id is not null)
