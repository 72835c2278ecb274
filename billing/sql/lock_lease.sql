-- A lease and its window, locked in the one order that everybody keeps: the window first.
with w as materialized (
    select id from billing_budgetwindow where tenant_id = wall.tenant() and id = %(window)s for no key update
)
select l.id from w join billing_lease l on l.tenant_id = wall.tenant() and l.window_id = w.id
where l.id = %(lease)s
for update of l
