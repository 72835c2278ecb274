-- The open tenant's budgets for the snapshot.
select id, scope, target, period, "limit", warn_at from billing_budget where tenant_id = wall.tenant()
