-- Moves what a lease has spent to its window and gives back %(amount)s US dollars of the rest (null: all of it, and the
-- lease ends). Both rows are locked already. Tells the workers that wait for room.
with before as (
    select l.id, l.window_id, l.spent, l.overrun, least(coalesce(%(amount)s, l.amount), l.amount - l.spent) as returned
    from billing_lease l
    where l.tenant_id = wall.tenant() and l.id = %(lease)s
), folded as (
    update billing_budgetwindow w
    set spent = w.spent + b.spent, reserved = w.reserved - b.spent - b.returned, overrun = w.overrun + b.overrun
    from before b
    where w.tenant_id = wall.tenant() and w.id = b.window_id
), kept as (
    update billing_lease l
    set amount = l.amount - l.spent - b.returned, spent = 0, overrun = 0
    from before b
    where l.tenant_id = wall.tenant() and l.id = b.id and %(amount)s::numeric is not null
), ended as (
    delete from billing_lease l using before b
    where l.tenant_id = wall.tenant() and l.id = b.id and %(amount)s::numeric is null
)
select returned, pg_notify('customhouse_leases', 'returned ' || window_id) from before
