-- Rows of the open tenant's ledger from %(since)s to before %(until)s (%(first)s and %(last)s bound the ids) whose cost,
-- corrections included, is not what their tokens cost at the prices that held at their time. The prices come as
-- intervals (unnest below), in pico-dollars a token. What the sweeper settled was charged as reserved, and stays.
with rates as materialized (
    select * from unnest(%(deployments)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[], %(input)s::numeric[],
                         %(cached_input)s::numeric[], %(cache_write)s::numeric[], %(output)s::numeric[],
                         %(reasoning)s::numeric[], %(embedding)s::numeric[])
        as r (deployment_id, starts, ends, input, cached_input, cache_write, output, reasoning, embedding)
), rated as (
    select u.*, u.cost + coalesce((select sum(c.cost) from billing_correction c
                                   where c.tenant_id = wall.tenant() and c.usage_id = u.id), 0) as charged,
           (u.input_tokens * case when r.embedding is not null and u.output_tokens + u.reasoning_tokens = 0
                                  then r.embedding else r.input end
            + u.cached_input_tokens * r.cached_input + u.cache_write_tokens * r.cache_write
            + u.output_tokens * r.output + u.reasoning_tokens * r.reasoning) * 0.000000000001 as due
    from billing_usage u
    join rates r on r.deployment_id = u.deployment_id and u.time >= r.starts and u.time < r.ends
    where u.tenant_id = wall.tenant() and u.id >= %(first)s and u.id < %(last)s
      and u.time >= %(since)s and u.time < %(until)s
      and not (u.estimated and exists (
          select from audit_event o where o.tenant_id = wall.tenant() and o.id = u.id
          and o.detail ->> 'settled_by' = 'sweeper'))
)
