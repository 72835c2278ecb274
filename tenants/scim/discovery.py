"""What the server tells of itself: its settings, its types of resources, its schemas (RFC 7643, 5 to 7)."""

from __future__ import annotations

from typing import Any

from .attributes import KINDS, Kind
from .resources import Address

_CORE = "urn:ietf:params:scim:schemas:core:2.0:"
MOST_RESULTS = 200


def settings(address: Address) -> dict[str, Any]:
    """/ServiceProviderConfig."""
    return {
        "schemas": [_CORE + "ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST_RESULTS},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "API key",
                "description": "A key of the tenant with the scope scim.use, as `Authorization: Bearer <key>`.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": address("/ServiceProviderConfig", "")},
    }


def type_of(kind: Kind, address: Address) -> dict[str, Any]:
    """One of /ResourceTypes."""
    return {
        "schemas": [_CORE + "ResourceType"],
        "id": kind.name,
        "name": kind.name,
        "endpoint": kind.endpoint,
        "description": kind.about,
        "schema": kind.schema,
        "meta": {"resourceType": "ResourceType", "location": address("/ResourceTypes", kind.name)},
    }


def schema_of(kind: Kind, address: Address) -> dict[str, Any]:
    """One of /Schemas."""
    return {
        "schemas": [_CORE + "Schema"],
        "id": kind.schema,
        "name": kind.name,
        "description": kind.about,
        "attributes": [attribute.shown() for attribute in kind.attributes],
        "meta": {"resourceType": "Schema", "location": address("/Schemas", kind.schema)},
    }


def kind_of_schema(urn: str) -> Kind | None:
    return next((kind for kind in KINDS.values() if kind.schema.lower() == urn.lower()), None)
