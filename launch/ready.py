"""When the servers answer, and what the person at the terminal is then told."""

from __future__ import annotations

import http.client
import json
import shlex
from pathlib import Path
from typing import Any


def answers(port: int) -> bool:
    """Whether a server on this port says that it is ready for calls."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def greeting(demo: Path) -> str:
    """Addresses, the console's login, a key, and a line that works when pasted."""
    told = json.loads(demo.read_text())
    tenant, console = told["tenants"][0], told["console"]
    return f"""
Customhouse is ready.

  Console   {console["url"]}
            {console["email"]} / {console["password"]}
  API       {told["base_url"]}   (key of {tenant["slug"]}: {tenant["api_key"]})
  All keys  {demo}

Try it:

{curl_line(told["base_url"], tenant)}

Ctrl-C stops all of it.
"""


def curl_line(base_url: str, tenant: dict[str, Any]) -> str:
    """A call that asks the demo question of a tenant's documents, in one line."""
    asked = {
        "model": "local-extractive",
        "messages": [{"role": "user", "content": tenant["question"]}],
        "retrieval": {"collections": [tenant["collection"]]},
    }
    parts = ["curl", "-s", f"{base_url}/chat/completions"]
    parts += ["-H", f"Authorization: Bearer {tenant['api_key']}", "-H", "Content-Type: application/json"]
    return shlex.join([*parts, "-d", json.dumps(asked)])
