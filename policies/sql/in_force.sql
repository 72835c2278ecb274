-- The policies that were in force for the open tenant at some moment from %(since)s until before %(until)s: its own, and
-- the platform's that it may read. One is in force from its activation until the next one of its scope and target.
with activated as (
    select p.*, lead(p.activated_at) over (
        partition by p.tenant_id, p.scope, p.target order by p.activated_at, p.id
    ) as ended_at
    from policies_policy p
    where p.activated_at is not null and (p.tenant_id = wall.tenant() or p.scope = 'platform')
)
select jsonb_build_object(
    'id', id, 'tenant', tenant_id, 'name', name, 'version', version, 'scope', scope, 'target', target, 'rules', rules,
    'activated_at', activated_at, 'ended_at', ended_at, 'state', state
)::text
from activated
where (%(until)s::timestamptz is null or activated_at < %(until)s)
  and (%(since)s::timestamptz is null or ended_at is null or ended_at > %(since)s)
order by activated_at, id
