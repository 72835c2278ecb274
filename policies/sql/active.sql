-- The policies in force for the open tenant: its own, and the platform's that it may read.
select id, name, version, scope, target, rules from policies_policy
where state = 'active' and (tenant_id = wall.tenant() or scope = 'platform')
