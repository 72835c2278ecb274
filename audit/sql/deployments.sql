-- How deployments did in the newest calls of the open tenant (at most %(most)s since %(since)s): how often they answered
-- and how fast, how often they failed and with what, and when each happened last.
-- A call names the deployment that ended it: that one answered unless the call's reason is a vendor's failure or the client's
-- end. What failed before it, be it the same one, stands in the detail.
-- %(actors)s: the keys whose calls count (null: all).
with recent as materialized (
    select time, deployment, latency_ms, reason, detail
    from audit_event
    where id >= %(first)s and time >= %(since)s and action = 'call.outcome'
      and (%(actors)s::text[] is null or actor_id = any(%(actors)s))
    order by id desc
    limit %(most)s
), failed as (
    select time, one ->> 'deployment' as deployment, one ->> 'error' as error
    from recent, jsonb_array_elements(
        case when jsonb_typeof(detail -> 'failed') = 'array' then detail -> 'failed' else '[]' end) as one
    where one ->> 'error' like 'upstream%%'
), tried as (
    select r.time, r.deployment, r.latency_ms, null as error
    from recent r
    where r.deployment <> '' and r.reason not like 'upstream%%' and r.reason not in ('interrupted', 'revoked')
    union all
    select time, deployment, null, error from failed
)
select deployment,
       count(*) filter (where error is null) as answered,
       count(*) filter (where error is not null) as failed,
       percentile_disc(0.5) within group (order by latency_ms) filter (where error is null) as median_ms,
       percentile_disc(0.95) within group (order by latency_ms) filter (where error is null) as slow_ms,
       max(time) filter (where error is null) as answered_at,
       max(time) filter (where error is not null) as failed_at,
       (array_agg(error order by time desc) filter (where error is not null))[1] as error
from tried
group by deployment
order by deployment
