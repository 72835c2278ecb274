-- A person's account remembers the tenant that was open when it was made, whoever makes it.
create or replace function wall.settle() returns trigger language plpgsql as $$
begin
    new.home := wall.tenant();
    return new;
end $$;

revoke all on function wall.settle() from public;
create or replace trigger settle before insert on tenants_user for each row execute function wall.settle();
