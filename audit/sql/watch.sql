-- Changes of watched tables become audit events in the same transaction, whoever makes them. The actor and the reason
-- travel in session settings beside the tenant.

create schema if not exists audit;
grant usage on schema audit to customhouse_app;

create sequence if not exists audit_event_seq owned by audit_event.seq;
alter table audit_event alter column seq set default nextval('audit_event_seq');
grant usage on sequence audit_event_seq to customhouse_app;

-- Arguments of the trigger: the object's name, then columns that are never recorded. That a secret among them (bytea,
-- or a password) was replaced is recorded all the same; what else they hold, as when something was last seen, is no
-- change.
create or replace function audit.record() returns trigger language plpgsql as $$
declare
    actor jsonb := coalesce(nullif(current_setting('app.actor', true), ''), '{"type": "sql"}')::jsonb;
    hidden text[] := tg_argv[1:] || array['tenant_id'];
    before jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) - hidden end;
    after jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) - hidden end;
    replaced text[] := case when tg_op = 'UPDATE' then array(
        select name from unnest(tg_argv[1:]) name
        where to_jsonb(old) -> name is distinct from to_jsonb(new) -> name
          and (name = 'password' or to_jsonb(old) ->> name like '\\x%' or to_jsonb(new) ->> name like '\\x%')) end;
    whose uuid := wall.tenant();
begin
    if whose is null or (tg_op = 'UPDATE' and before = after and replaced = '{}') then
        return null;
    end if;
    insert into audit_event (tenant_id, id, action, decision, reason, actor_type, actor_id, actor_name,
                             object_type, object_id, entities, passages, tokens, detail, request_id,
                             policy, model, deployment, region)
    values (whose, uuidv7(),
            tg_argv[0] || '.' || case tg_op when 'INSERT' then 'create' when 'UPDATE' then 'update' else 'delete' end,
            'allow', left(coalesce(current_setting('app.reason', true), ''), 300),
            coalesce(actor ->> 'type', 'sql'), coalesce(actor ->> 'id', ''),
            left(coalesce(actor ->> 'name', current_user::text), 200),
            tg_argv[0], coalesce(after, before) ->> 'id', '{}', '[]', '{}',
            jsonb_strip_nulls(jsonb_build_object('before', before, 'after', after, 'replaced', to_jsonb(nullif(replaced, '{}')))),
            null, '', '', '', '');
    return null;
end $$;

create or replace function audit.watch(target text, name text, secret text[]) returns void language plpgsql as $$
begin
    execute format('create or replace trigger audit after insert or update or delete on %I for each row
                    execute function audit.record(%s)', target,
                   (select string_agg(quote_literal(word), ', ') from unnest(array[name] || secret) word));
end $$;

create or replace function audit.unwatch(target text) returns void language plpgsql as $$
begin
    execute format('drop trigger if exists audit on %I', target);
end $$;

revoke all on function audit.record(), audit.watch(text, text, text[]), audit.unwatch(text) from public;
