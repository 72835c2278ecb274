-- Workers whose calls and leases are to be settled. A silent one is first only suspected: when the database itself was
-- away, the living get the time to say so. One that was buried is swept for a while longer, for what it wrote late.
with suspected as (
    update billing_worker set suspected_at = now()
    where tenant_id = wall.platform() and suspected_at is null and swept_at is null
      and seen_at < now() - make_interval(secs => %(silent)s)
), buried as (
    update billing_worker set swept_at = now()
    where tenant_id = wall.platform() and swept_at is null
      and suspected_at < now() - make_interval(secs => %(patience)s)
    returning id, oldest_call
)
select id, oldest_call from buried
union
select id, oldest_call from billing_worker where tenant_id = wall.platform() and swept_at is not null
