"""Starting Customhouse: the servers it stands on, its own processes, and their supervision.

Standard library and psycopg only; imports none of the apps. `python -m launch` is what `make up` runs;
`launch.servers` gives tests a real PostgreSQL and a real Redis.
"""
