-- How many calls of the open tenant were turned away from %(since)s to before %(until)s.
select count(*) from audit_event
where tenant_id = wall.tenant() and id >= %(first)s and id < %(last)s and time >= %(since)s and time < %(until)s
  and action = 'call.refused'
