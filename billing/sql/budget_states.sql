-- How budgets stand in the windows given (%(budgets)s and %(starts)s, in step). What a lease has spent counts as spent.
select w.budget_id, w.spent + coalesce(l.spent, 0) as spent, w.reserved - coalesce(l.spent, 0) as reserved,
       w.overrun + coalesce(l.overrun, 0) as overrun
from unnest(%(budgets)s::uuid[], %(starts)s::timestamptz[]) as asked (budget, starts)
join billing_budgetwindow w on w.tenant_id = wall.tenant() and w.budget_id = asked.budget and w.starts_at = asked.starts
left join lateral (
    select sum(spent) as spent, sum(overrun) as overrun from billing_lease
    where tenant_id = wall.tenant() and window_id = w.id
) l on true
