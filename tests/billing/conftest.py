from tests.billing.house import acme, globex, servers
from tests.billing.mailbox import mailbox

__all__ = ["acme", "globex", "mailbox", "servers"]
