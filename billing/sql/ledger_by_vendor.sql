-- The open tenant's ledger as a vendor sees it: every attempt at its deployments (`provider/model`), by day, from
-- %(since)s to before %(until)s (%(first)s and %(last)s bound the ids); of all providers, or of %(providers)s. Beside the
-- sums stand what may make them differ from the vendor's: attempts whose tokens were estimated, that were followed by
-- another, or whose call was cut off.
select (u.time at time zone 'UTC')::date as day, split_part(u.deployment, '/', 1) as provider,
       substr(u.deployment, strpos(u.deployment, '/') + 1) as model,
       count(*) as requests, sum(u.input_tokens) as input, sum(u.cached_input_tokens) as cached_input,
       sum(u.cache_write_tokens) as cache_write, sum(u.output_tokens + u.reasoning_tokens) as output,
       sum(u.cost) as cost,
       count(*) filter (where u.estimated) as estimated, count(*) filter (where not u.final) as retried,
       count(*) filter (where u.final and o.reason in ('interrupted', 'revoked')) as aborted
from billing_usage u
left join audit_event o on o.tenant_id = wall.tenant() and o.id = u.id and o.action = 'call.outcome'
where u.tenant_id = wall.tenant() and u.id >= %(first)s and u.id < %(last)s
  and u.time >= %(since)s and u.time < %(until)s
  and (%(providers)s::text[] is null or split_part(u.deployment, '/', 1) = any(%(providers)s))
  and u.deployment <> ''
group by 1, 2, 3
