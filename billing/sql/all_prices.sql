-- All prices that the open tenant's calls were or are charged by: its own deployments' and the platform's. Where the
-- platform prices a deployment, nobody else does (as in prices.sql).
select deployment_id, kind, per_million, valid_from
from (
    select p.deployment_id, p.kind, p.per_million, p.valid_from, p.tenant_id = wall.platform() as of_platform,
           bool_or(p.tenant_id = wall.platform()) over (partition by p.deployment_id) as platform_prices_it
    from billing_price p
) visible
where of_platform = platform_prices_it
order by deployment_id, kind, valid_from
