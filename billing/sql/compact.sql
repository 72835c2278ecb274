-- Merges roll-ups of the open tenant since %(since)s: what writers added since the last time, and the whole of %(days)s.
-- One statement, so that every reader sees either the many rows or the one, and no row is merged twice.
with gone as (
    delete from billing_rollup
    where tenant_id = wall.tenant() and day >= %(since)s and (not merged or day = any(%(days)s::date[]))
    returning *
), merged as (
    insert into billing_rollup (
        tenant_id, id, day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections,
        calls, attempts, estimated, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
        reasoning_tokens, cost, last_at, merged
    )
    select wall.tenant(), uuidv7(), day, department_id, user_id, key_id, model_id, model, deployment_id, deployment,
           collections, sum(calls), sum(attempts), sum(estimated), sum(input_tokens), sum(cached_input_tokens),
           sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens), sum(cost), max(last_at), true
    from gone
    group by day, department_id, user_id, key_id, model_id, model, deployment_id, deployment, collections
    returning 1
)
select (select count(*) from gone), (select count(*) from merged)
