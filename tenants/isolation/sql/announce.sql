-- What the hot path keeps in memory (keys, roles, policies, routes, prices, budgets) changes rarely. Every change of
-- such a table raises the tenant's revision in the same transaction and tells the workers at commit.

create or replace function wall.touch() returns trigger language plpgsql as $$
declare changed uuid;
begin
    changed := case when tg_op = 'DELETE' then old.tenant_id else new.tenant_id end;
    insert into tenants_revision (tenant_id, number) values (changed, 1)
        on conflict (tenant_id) do update set number = tenants_revision.number + 1;
    perform pg_notify('customhouse_changed', changed::text);
    return null;
end $$;

create or replace function wall.announce(target text) returns void language plpgsql as $$
begin
    execute format('create or replace trigger announce after insert or update or delete on %I
                    for each row execute function wall.touch()', target);
end $$;

revoke all on function wall.touch(), wall.announce(text) from public;
