-- Prices that hold now and those that are to come, for the open tenant: its own deployments' and the platform's.
-- Where the platform prices a deployment, nobody else does: a tenant cannot make a shared deployment cheaper.
with visible as (
    select p.tenant_id, p.deployment_id, p.kind, p.per_million, p.valid_from,
           p.tenant_id = wall.platform() as of_platform,
           bool_or(p.tenant_id = wall.platform()) over (partition by p.deployment_id) as platform_prices_it
    from billing_price p
)
select v.deployment_id, v.kind, v.per_million, v.valid_from
from visible v
where v.of_platform = v.platform_prices_it
  and v.valid_from >= coalesce((select max(earlier.valid_from) from visible earlier
                                where earlier.deployment_id = v.deployment_id and earlier.kind = v.kind
                                  and earlier.of_platform = v.of_platform and earlier.valid_from <= now()),
                               v.valid_from)
order by v.deployment_id, v.kind, v.valid_from
