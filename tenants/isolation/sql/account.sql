-- The person whose account is open: as wall.person(), but nobody in a session that one tenant's own identity provider
-- vouches for. Such a session is that person's within the tenant; it is not believed to be them anywhere else.
create or replace function wall.account() returns uuid language sql stable parallel safe
    return case when coalesce(current_setting('app.confined', true), '') = '' then wall.person() end;

revoke all on function wall.account() from public;
grant execute on function wall.account() to customhouse_app;
