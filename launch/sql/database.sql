-- Which database this is, whatever its address is today: the cluster's identifier and the database's own.
select system_identifier, (select oid from pg_database where datname = current_database())
from pg_control_system()
