-- All grants of the open tenant.
select to_type, to_id, object_type, object_id, "right", deny from tenants_grant where tenant_id = wall.tenant()
