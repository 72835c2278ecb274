-- The people of the open tenant and their places in it, by whom a token's owner is known.
select u.id, lower(u.email) as email, u.name, u.is_active, m.role, m.clearance,
       coalesce((select array_agg(x.department_id order by x.id) from tenants_membershipdepartment x
                 where x.tenant_id = m.tenant_id and x.membership_id = m.id), '{}') as departments
from tenants_membership m
join tenants_user u on u.id = m.user_id
where m.tenant_id = wall.tenant()
