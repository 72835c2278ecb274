-- The ends of calls of one tenant (the parameter is an array of objects): the outcome event, one usage row per attempt,
-- and what the call takes from the leases that held its worst case. All of it hangs on the event being new, so that an
-- outcome which is written twice (the answer to its commit was lost; a worker and the sweeper both end a call) counts
-- once. Amounts come in whole pico-dollars.
with given as materialized (
    select *
    from jsonb_to_recordset($1::jsonb) as r (
        id uuid, decision text, reason text, request_id uuid, actor_type text, actor_id text, actor_name text,
        department_id uuid, user_id uuid, key_id uuid, model_id uuid, policy text, model text, deployment text,
        region text, entities jsonb, passages jsonb, tokens jsonb, cost numeric, latency_ms float8, detail jsonb,
        attempts jsonb, charges jsonb
    )
), written as (
    insert into audit_event (
        tenant_id, id, action, decision, reason, request_id, actor_type, actor_id, actor_name, department_id,
        object_type, object_id, policy, model, deployment, region, entities, passages, tokens, cost, latency_ms, detail
    )
    select wall.tenant(), id, 'call.outcome', decision, coalesce(reason, ''), request_id,
           actor_type, coalesce(actor_id, ''), actor_name, department_id, '', '', policy, model,
           coalesce(deployment, ''), coalesce(region, ''), coalesce(entities, '{}'), coalesce(passages, '[]'),
           coalesce(tokens, '{}'), cost * 0.000000000001, latency_ms, coalesce(detail, '{}')
    from given
    on conflict do nothing
    returning id
), charged as (
    insert into billing_usage (
        tenant_id, id, request_id, attempt, department_id, user_id, key_id, model_id, model, deployment_id, deployment,
        input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, estimated, final,
        collections
    )
    select wall.tenant(), a.id, g.request_id, a.attempt, g.department_id, g.user_id, g.key_id, g.model_id, g.model,
           a.deployment_id, coalesce(a.deployment, ''), coalesce(a.input, 0), coalesce(a.cached_input, 0),
           coalesce(a.cache_write, 0), coalesce(a.output, 0), coalesce(a.reasoning, 0),
           coalesce(a.cost, 0) * 0.000000000001, coalesce(a.estimated, false), a.id = g.id,
           case when jsonb_typeof(g.passages) = 'array' then array(
               select distinct (passage ->> 'collection')::uuid from jsonb_array_elements(g.passages) passage
               where passage ->> 'collection' is not null order by 1) else '{}' end
    from written
    join given g using (id)
    cross join jsonb_to_recordset(g.attempts) as a (
        id uuid, attempt int2, deployment_id uuid, deployment text, input int8, cached_input int8, cache_write int8,
        output int8, reasoning int8, cost numeric, estimated boolean
    )
    on conflict do nothing
), charges as materialized (
    select c.lease, c."window", sum(c.spent) * 0.000000000001 as spent, sum(c.overrun) * 0.000000000001 as overrun
    from written
    join given g using (id)
    cross join jsonb_to_recordset(g.charges) as c (lease uuid, "window" uuid, spent numeric, overrun numeric)
    group by c.lease, c."window"
), settled as (
    update billing_lease l
    set spent = l.spent + least(c.spent, l.amount - l.spent),
        overrun = l.overrun + c.overrun + greatest(c.spent - (l.amount - l.spent), 0)
    from charges c
    where l.tenant_id = wall.tenant() and l.id = c.lease
    returning l.id
)
-- The worker was taken for dead and its lease was given back: the window itself pays, as far as it can.
update billing_budgetwindow w
set spent = w.spent + least(c.spent, w."limit" - w.spent - w.reserved),
    overrun = w.overrun + c.overrun + greatest(c.spent - (w."limit" - w.spent - w.reserved), 0)
from charges c
where w.tenant_id = wall.tenant() and w.id = c."window" and c.lease not in (select id from settled)
