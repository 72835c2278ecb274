-- The wall's own functions. They live in a schema of their own; the application's role may call only the two that
-- tell the open scope. Everything that alters tables runs as the owner, from migrations.

do $$ begin
    if not exists (select from pg_roles where rolname = 'customhouse_app') then
        create role customhouse_app nologin nosuperuser nobypassrls nocreatedb nocreaterole;
    end if;
end $$;

create schema if not exists wall;
grant usage on schema wall to customhouse_app;
grant usage on schema public to customhouse_app;
revoke create on schema public from public;

-- The tenant whose scope is open; null (and so no rows) without one. Stable and wrapped in a subselect by the
-- policies below, so that it is evaluated once a statement.
create or replace function wall.tenant() returns uuid language sql stable parallel safe
    return nullif(current_setting('app.tenant', true), '')::uuid;

create or replace function wall.platform() returns uuid language sql immutable parallel safe
    return '00000000-0000-0000-0000-000000000000'::uuid;

-- The person who is signed in, and the address somebody is signing in with.
create or replace function wall.person() returns uuid language sql stable parallel safe
    return nullif(current_setting('app.user', true), '')::uuid;

create or replace function wall.login() returns text language sql stable parallel safe
    return nullif(current_setting('app.login', true), '');

-- The public id of the key that somebody presents, while its tenant is looked up.
create or replace function wall.presented_key() returns text language sql stable parallel safe
    return nullif(current_setting('app.key', true), '');

-- Clearance of the open scope; without a scope the lowest.
create or replace function wall.clearance() returns smallint language sql stable parallel safe
    return coalesce(nullif(current_setting('app.clearance', true), '')::smallint, 0::smallint);

-- Departments of the open scope; null means all of them, an empty array none.
create or replace function wall.departments() returns uuid[] language sql stable parallel safe
    return case when current_setting('app.departments', true) = '*' then null
                else coalesce(nullif(current_setting('app.departments', true), ''), '{}')::uuid[] end;

-- Puts a table behind the wall. `readable` and `writable` are conditions on its rows; calls of wall's functions in
-- them become subselects, which PostgreSQL evaluates once a statement and not once a row.
create or replace function wall.protect(target text, readable text, writable text, privileges text) returns void
language plpgsql as $$
declare
    fold constant text := '(wall\.(tenant|platform|person|login|presented_key|clearance|departments)\(\))';
    has_tenant boolean := exists (select from pg_attribute where attrelid = target::regclass and attname = 'tenant_id');
    shared boolean := exists (select from pg_attribute where attrelid = target::regclass and attname = 'shared_with');
    key_name text;
begin
    execute format('alter table %I enable row level security', target);
    execute format('alter table %I force row level security', target);
    execute format('drop policy if exists wall_read on %I', target);
    execute format('drop policy if exists wall_write on %I', target);
    execute format('drop policy if exists wall on %I', target);
    readable := regexp_replace(readable, fold, '(select \1)', 'g');
    writable := regexp_replace(writable, fold, '(select \1)', 'g');
    if readable = writable then
        execute format('create policy wall on %I using (%s) with check (%s)', target, readable, writable);
    else
        -- who may read more than write: reading by the first, every write by the second (old row and new)
        execute format('create policy wall_read on %I for select using (%s)', target, readable);
        execute format('create policy wall on %I using (%s) with check (%s)', target, writable, writable);
    end if;
    execute format('revoke all on %I from public', target);
    execute format('revoke all on %I from customhouse_app', target);
    execute format('grant %s on %I to customhouse_app', privileges, target);
    if has_tenant then
        select conname into key_name from pg_constraint where conrelid = target::regclass and contype = 'p'
            and conkey = array[(select attnum from pg_attribute where attrelid = target::regclass and attname = 'id')];
        if key_name is not null then
            execute format('alter table %I drop constraint %I', target, key_name);
            execute format('alter table %I add primary key (tenant_id, id)', target);
            if shared then
                execute format('alter table %I add unique (id)', target);
            end if;
        end if;
    end if;
end $$;

-- A reference to a row of the same tenant.
create or replace function wall.link(target text, reference text, other text) returns void language plpgsql as $$
begin
    execute format('alter table %I add constraint %I foreign key (tenant_id, %I) references %I (tenant_id, id)
                    deferrable initially deferred', target, left(target || '_' || reference, 58) || '_wall', reference, other);
end $$;

-- A reference to a row that the platform may own: that it exists is the foreign key's to tell, that it may be seen
-- by the one who writes is the policy's.
create or replace function wall.link_shared(target text, reference text, other text) returns void language plpgsql as $$
begin
    execute format('alter table %I add constraint %I foreign key (%I) references %I (id)
                    deferrable initially deferred', target, left(target || '_' || reference, 58) || '_wall', reference, other);
    execute format('create policy %I on %I as restrictive for insert with check
                    (%I is null or exists (select from %I other where other.id = %I.%I))',
                   left('visible_' || reference, 60), target, reference, other, target, reference);
    execute format('create policy %I on %I as restrictive for update using (true) with check
                    (%I is null or exists (select from %I other where other.id = %I.%I))',
                   left('visible_upd_' || reference, 60), target, reference, other, target, reference);
end $$;

create or replace function wall.release(target text) returns void language plpgsql as $$
declare found_policy text;
begin
    for found_policy in select polname from pg_policy where polrelid = target::regclass loop
        execute format('drop policy %I on %I', found_policy, target);
    end loop;
    execute format('alter table %I no force row level security', target);
    execute format('alter table %I disable row level security', target);
    execute format('revoke all on %I from customhouse_app', target);
end $$;

revoke all on all functions in schema wall from public;
grant execute on function wall.tenant(), wall.platform(), wall.person(), wall.login(), wall.presented_key(),
    wall.clearance(), wall.departments() to customhouse_app;
