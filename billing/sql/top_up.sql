-- Moves a slice from a budget's window into a worker's lease, if the window has room: never a check and then a write,
-- the row is locked while both happen, and a CHECK constraint stands behind it.
-- At least %(least)s or nothing; %(need)s when there is room for it; up to %(want)s while there is plenty: a quarter of
-- what is left at most, so that slices shrink near the limit. `elsewhere` is what other workers hold unspent.
-- Amounts are US dollars.
with found as materialized (
    select w.id, %(limit)s - w.spent - w.reserved as room,
           (select coalesce(sum(l.amount - l.spent), 0) from billing_lease l
            where l.tenant_id = wall.tenant() and l.window_id = w.id and l.worker <> %(worker)s) as elsewhere
    from billing_budgetwindow w
    where w.tenant_id = wall.tenant() and w.budget_id = %(budget)s and w.starts_at = %(starts)s
    for no key update
), slice as materialized (
    select id, room, elsewhere,
           case when room >= %(least)s
                then greatest(least(%(need)s, room), least(%(want)s, trunc(room / 4, 12))) else 0 end as amount
    from found
), taken as (
    update billing_budgetwindow w
    set reserved = w.reserved + slice.amount, "limit" = greatest(%(limit)s, w.spent + w.reserved + slice.amount)
    from slice
    where w.tenant_id = wall.tenant() and w.id = slice.id and slice.amount > 0
    returning w.id
), leased as (
    insert into billing_lease (tenant_id, id, window_id, worker, amount, spent, overrun)
    select wall.tenant(), %(lease)s, slice.id, %(worker)s, slice.amount, 0, 0
    from slice join taken using (id)
    on conflict (tenant_id, window_id, worker) do update set amount = billing_lease.amount + excluded.amount
    returning id, amount, spent
)
select slice.id as window_id, slice.room, slice.elsewhere, slice.amount, leased.id as lease_id,
       leased.amount - leased.spent as left_over
from slice left join leased on true
