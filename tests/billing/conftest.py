from tests.billing.house import acme, database, globex, servers

__all__ = ["acme", "database", "globex", "servers"]
