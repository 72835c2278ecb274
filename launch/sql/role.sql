-- May this role serve as the application's? First: row-level security does not bind it. Second: it is a member of the
-- group that holds the grants. Parameter: the group's name.
select role.rolsuper or role.rolbypassrls,
       exists (select from pg_roles grp where grp.rolname = %s and pg_has_role(role.oid, grp.oid, 'member'))
from pg_roles role
where role.rolname = current_user
