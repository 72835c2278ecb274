-- The database's time, this transaction's number, and which cluster this is ('' where nobody may ask).
select clock_timestamp(), pg_current_xact_id()::text,
       case when has_function_privilege('pg_control_system()', 'execute')
            then (select system_identifier::text from pg_control_system()) else '' end
