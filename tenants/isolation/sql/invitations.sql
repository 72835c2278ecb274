-- The hash of the invitation that somebody presents, while its tenant is looked up.
create or replace function wall.presented_invitation() returns text language sql stable parallel safe
    return nullif(current_setting('app.invitation', true), '');

revoke all on function wall.presented_invitation() from public;
grant execute on function wall.presented_invitation() to customhouse_app;
