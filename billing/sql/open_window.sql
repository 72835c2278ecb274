-- The window of a budget's period, made when it is first needed. %(limit)s is in US dollars.
insert into billing_budgetwindow (tenant_id, id, budget_id, starts_at, "limit", spent, reserved, overrun)
values (wall.tenant(), %(id)s, %(budget)s, %(starts)s, %(limit)s, 0, 0, 0)
on conflict (tenant_id, budget_id, starts_at) do nothing
