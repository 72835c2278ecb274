-- Whoever has a tenant open may add a person, but changes no person: an administrator of one tenant must not rename,
-- or take over, somebody who belongs to another as well.
drop policy if exists wall_add on tenants_user;
create policy wall_add on tenants_user for insert with check ((select wall.tenant()) is not null);

-- The tables that hold nothing of a tenant, and what the application may do with them.
grant select, insert, update, delete on django_session to customhouse_app;
grant select on django_content_type, auth_permission, auth_group, auth_group_permissions, tenants_user_groups,
    tenants_user_user_permissions, django_migrations to customhouse_app;
