"""What a tenant may call: model names and the deployments behind them, as part of the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from psycopg.rows import DictRow

from tenants.isolation import PLATFORM
from tenants.isolation.pool import Connection

from . import credentials
from .data import ProviderView, Target

_CATALOGUE = (Path(__file__).parent / "sql" / "catalogue.sql").read_text()

#: The name of this app's part of a snapshot.
PART = "catalogue"


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model name with its deployments, in the order of the route."""

    id: UUID
    name: str
    strategy: str
    owned_by: str  #: "platform" or "tenant"
    created: int  #: seconds since 1970
    targets: tuple[Target, ...]


Catalogue = dict[str, ModelView]


async def load(connection: Connection, tenant: UUID) -> Catalogue:
    """All models of the open tenant; its own name hides the platform's."""
    cursor = await connection.execute(_CATALOGUE)
    rows: dict[tuple[str, bool], list[DictRow]] = {}
    for row in await cursor.fetchall():
        rows.setdefault((row["model_name"], row["own"]), []).append(row)
    found: Catalogue = {}
    for (name, own), group in rows.items():
        if own or name not in found:
            found[name] = _model(group)
    return found


def _model(rows: list[DictRow]) -> ModelView:
    first = rows[0]
    return ModelView(
        id=first["model_id"],
        name=first["model_name"],
        strategy=first["strategy"],
        owned_by="tenant" if first["own"] else "platform",
        created=int(first["created_at"].timestamp()),
        targets=tuple(_target(row) for row in rows),
    )


def _target(row: DictRow) -> Target:
    host = urlsplit(row["base_url"]).hostname or ""
    provider = ProviderView(
        id=row["provider_id"],
        name=row["provider_name"],
        kind=row["kind"],
        base_url=row["base_url"],
        vendor=row["vendor"],
        region=row["region"],
        self_hosted=row["self_hosted"],
        credential=credentials.open_credential(row["credential"], row["provider_tenant"], row["provider_id"]),
        guarded=row["provider_tenant"] != PLATFORM and host not in settings.PRIVATE_HOSTS_ALLOWED,
    )
    return Target(
        id=row["deployment_id"],
        name=row["deployment_name"],
        upstream_model=row["upstream_model"],
        provider=provider,
        capabilities=frozenset(row["capabilities"]),
        max_concurrency=row["max_concurrency"],
        timeout_s=row["timeout_s"],
        first_token_timeout_s=row["first_token_timeout_s"] or row["timeout_s"],
        max_output_tokens=row["max_output_tokens"],
        max_input_tokens=row["max_input_tokens"],
        weight=row["weight"],
        priority=row["priority"],
    )
