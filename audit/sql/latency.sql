-- The time within which 95 of 100 of the newest calls that were answered were (at most %(most)s since %(since)s), in
-- milliseconds; null where there were none. %(actors)s: the keys whose calls count (null: all).
select percentile_disc(0.95) within group (order by latency_ms)
from (
    select latency_ms
    from audit_event
    where id >= %(first)s and time >= %(since)s and action = 'call.outcome' and latency_ms is not null
      and reason not like 'upstream%%' and reason not in ('interrupted', 'revoked', 'service_unavailable')
      and (%(actors)s::text[] is null or actor_id = any(%(actors)s))
    order by id desc
    limit %(most)s
) as newest
