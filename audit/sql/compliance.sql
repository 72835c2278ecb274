-- What a compliance report says of the open tenant between two times (%(since)s, %(until)s; %(first)s and %(last)s bound
-- the ids made between them), as rows (area, figure, count). An area without any row says that there was nothing.
with seen as materialized (
    select action, decision, reason, entities
    from audit_event
    where tenant_id = wall.tenant() and id >= %(first)s and id < %(last)s
      and time >= %(since)s and time < %(until)s
      and (action in ('call.outcome', 'call.refused', 'vault.reveal', 'text.restore', 'body.reveal', 'erasure_request.execute')
           or action like 'policy.%%' or action like 'hold.%%')
)
select 'calls' as area, case when decision = 'allow' then 'answered' else 'failed' end as figure, count(*)
from seen where action = 'call.outcome' group by 2
union all
select 'refusals', coalesce(nullif(reason, ''), 'unknown'), count(*) from seen where action = 'call.refused' group by 2
union all
select 'entities masked', e.key, sum(e.value::bigint)
from seen cross join lateral jsonb_each_text(seen.entities) e
where action = 'call.outcome' group by 2
union all
select 'reveals', action, count(*) from seen where action in ('vault.reveal', 'text.restore', 'body.reveal')
group by 2
union all
select 'erasures', action, count(*) from seen where action = 'erasure_request.execute' group by 2
union all
select 'policy changes', action, count(*) from seen where action like 'policy.%%' group by 2
union all
select 'holds', action, count(*) from seen where action like 'hold.%%' group by 2
order by 1, 2
