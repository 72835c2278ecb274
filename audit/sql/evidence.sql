-- What a record says, as it is hashed and exported. A published format: another shape is another function.
create or replace function audit.record_1(e audit_event) returns jsonb language sql stable
return jsonb_build_object(
    'v', 1,
    'tenant', e.tenant_id,
    'id', e.id,
    'seq', e.seq,
    'time', to_char(e.time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'action', e.action,
    'decision', e.decision,
    'reason', e.reason,
    'request_id', e.request_id,
    'actor', jsonb_build_object('type', e.actor_type, 'id', e.actor_id, 'name', e.actor_name),
    'department_id', e.department_id,
    'object', case when e.object_type <> '' or e.object_id <> ''
                   then jsonb_build_object('type', e.object_type, 'id', e.object_id) end,
    'policy', e.policy,
    'model', e.model,
    'deployment', e.deployment,
    'region', e.region,
    'entities', e.entities,
    'passages', e.passages,
    'tokens', e.tokens,
    'cost', case when scale(trim_scale(e.cost)) < 2 then round(e.cost, 2)::text else trim_scale(e.cost)::text end,
    'latency_ms', e.latency_ms,
    'detail', e.detail
);
revoke all on function audit.record_1(audit_event) from public;
grant execute on function audit.record_1(audit_event) to customhouse_app;

-- In which transaction an event was written. Sequences and clocks tell when something was begun; only this, held
-- against a snapshot, tells what was committed when a seal was made. Rows from before have none: the first seal takes
-- all there is.
alter table audit_event add column if not exists xact xid8;
alter table audit_event alter column xact set default pg_current_xact_id();
create index if not exists audit_event_xact on audit_event (tenant_id, xact);
