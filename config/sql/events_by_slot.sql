-- The open tenant's calls by hour or day (UTC): how many there were and what they cost, how many were refused, and how
-- much personal data did not leave. Refused are calls that never left the house and those whose outcome was a denial.
-- Parameters: the length of a slot; the first id and the first moment of the period; the keys whose calls count (null: all).
select date_trunc(%(slot)s, time, 'UTC') as begins,
       count(*) filter (where action = 'call.outcome') as calls,
       coalesce(sum(cost), 0) as cost,
       count(*) filter (where action = 'call.refused' or decision = 'deny') as refused,
       coalesce(sum((select sum(number::bigint) from jsonb_each_text(entities) as found(kind, number)))
                filter (where action = 'call.outcome'), 0)::bigint as entities
from audit_event
where id >= %(first)s and time >= %(since)s and action in ('call.outcome', 'call.refused')
  and (%(actors)s::text[] is null or actor_id = any(%(actors)s))
group by 1
order by 1
