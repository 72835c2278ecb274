"""What the page of a call tells beside its event: where it went and why, and whether its record is sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tenants.console import cells

from .models import Leaf, Seal


@dataclass(frozen=True, slots=True)
class Stop:
    """A deployment that might have answered: `state` is answered, failed, rejected or spare, `why` its reason."""

    deployment: str
    state: str
    why: str = ""

    @property
    def tone(self) -> str:
        return {"answered": "good", "failed": "bad", "rejected": "warn"}.get(self.state, "plain")


@dataclass(frozen=True, slots=True)
class Way:
    """How a call was routed: by what, what it needed, why it had to stay in the house, and all candidates."""

    strategy: str
    needs: str
    private: str
    stops: list[Stop]


def way(deployment: str, detail: dict[str, Any]) -> Way | None:
    """The way of a call whose outcome or refusal this is; None where there was nothing to choose and nothing failed."""
    route, failed = detail.get("route") or {}, detail.get("failed") or []
    if not route and not failed:
        return None
    errors = [(str(one.get("deployment")), str(one.get("error")).replace("_", " ")) for one in failed]
    stops = [Stop(name, "failed", error) for name, error in errors]
    if deployment and deployment not in dict(errors):
        stops.append(Stop(deployment, "answered"))
    tried = {stop.deployment for stop in stops}
    stops += [Stop(str(name), "spare") for name in route.get("candidates", ()) if name not in tried]
    stops += [Stop(str(one.get("deployment")), "rejected", str(one.get("reason"))) for one in route.get("rejected", ())]
    return Way(
        str(route.get("strategy") or "").replace("_", " "),
        ", ".join(map(str, route.get("needs", ()))),
        str(route.get("private") or ""),
        stops,
    )


def seal_of(event: UUID) -> Seal | None:
    """The first seal over an event of the open tenant; None while it waits for one."""
    leaf = Leaf.objects.filter(pk=event).first()
    return None if leaf is None else Seal.objects.filter(size__gt=leaf.position).order_by("number").first()


def shown(charge: Any) -> dict[str, Any]:
    """An attempt in the ledger as the page writes it (`Console.charges_of`)."""
    return {
        "attempt": charge.attempt,
        "deployment": charge.deployment,
        "lines": [
            (kind.lower(), cells.count(tokens), cells.money(price), cells.money(amount))
            for kind, tokens, price, amount in charge.lines
        ],
        "cost": cells.money(charge.cost),
        "estimated": charge.estimated,
    }
