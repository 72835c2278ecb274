from tests.billing.house import acme, globex, servers

__all__ = ["acme", "globex", "servers"]
