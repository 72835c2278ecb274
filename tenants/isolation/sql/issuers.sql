-- The issuer of the token that somebody presents, while its tenant is looked up.
create or replace function wall.presented_issuer() returns text language sql stable parallel safe
    return nullif(current_setting('app.issuer', true), '');

revoke all on function wall.presented_issuer() from public;
grant execute on function wall.presented_issuer() to customhouse_app;
