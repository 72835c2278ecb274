-- Calls that each budget of the open tenant refused since %(since)s (ids from %(first)s on): how many, and the first.
select detail ->> 'budget' as budget, count(*), min(time)
from audit_event
where tenant_id = wall.tenant() and id >= %(first)s and time >= %(since)s
  and action = 'call.refused' and reason = 'insufficient_quota' and detail ? 'budget'
group by 1
