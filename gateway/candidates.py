"""Which deployments may answer a call, decided before the first attempt: by what they can do, where they lie, what they
cost, how much they read, and whether what is asked may leave the house at all.

Nothing here does I/O. Each step keeps some candidates and says of the others why not; the audit trail keeps both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from billing.services import BudgetView, is_priced
from policies.services import Rules
from tenants.data import Caller

from .catalogue import ModelView
from .data import Call, ProviderView, Target
from .errors import InvalidRequest, PolicyViolation, Unavailable
from .surfaces import openai_chat

#: What a medium in a request needs of a model.
_MEDIA: Final = {"image": "vision", "audio": "audio", "file": "files", "video": "video"}

#: Where nothing is found in the documents: one sentence that says so, made in the house and for nothing.
NO_ANSWER: Final = Target(
    id=UUID("00000000-0000-0000-0000-0000000000a0"),
    name="no-answer",
    upstream_model="no-answer",
    provider=ProviderView(
        id=UUID(int=0),
        name="customhouse",
        kind="extractive",
        base_url="",
        vendor="",
        region="self",
        self_hosted=True,
        credential="",
    ),
    capabilities=frozenset({"chat"}),
    max_concurrency=1_000_000,
    timeout_s=60.0,
    first_token_timeout_s=60.0,
    max_output_tokens=None,
)

Rejected = tuple[Target, str]


@dataclass(slots=True)
class Choice:
    """The candidates that are left, in the order of the route, and why the others are not."""

    targets: list[Target]
    needs: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    private: str = ""  #: why only self-hosted deployments may answer

    def copy(self) -> Choice:
        """One that goes on from here by itself."""
        return Choice(list(self.targets), list(self.needs), list(self.rejected), self.private)

    def keep(self, kept: Callable[[Target], bool], reason: str) -> None:
        """Rejects the candidates that are not kept."""
        left = [target for target in self.targets if kept(target)]
        if len(left) < len(self.targets):
            self.rejected += [(target, reason) for target in self.targets if target not in left]
            self.targets = left

    def row(self, model: ModelView) -> dict[str, Any]:
        """As the audit trail holds it; {} where there was nothing to choose."""
        if not self.rejected and len(self.targets) < 2 and not self.private:
            return {}
        told: dict[str, Any] = {
            "strategy": model.strategy,
            "candidates": [target.label for target in self.targets],
            "rejected": [{"deployment": target.label, "reason": reason} for target, reason in self.rejected],
        }
        if self.needs:
            told["needs"] = self.needs
        if self.private:
            told["private"] = self.private
        return {"route": told}


@dataclass(frozen=True, slots=True)
class Plan:
    """What all calls of one caller to one model with the same needs have in common, as long as nothing changes: worked
    out once a snapshot, and anew `until` (unix seconds) some price changes by itself.
    """

    caller: Caller
    rules: Rules
    model: ModelView
    choice: Choice  #: by capabilities, residency and price
    budgets: tuple[BudgetView, ...]
    rates: list[tuple[int, int]]  #: of its deployments: pico-dollars for the dearest token in, and out
    until: float


def choose(
    choice: Choice,
    call: Call,
    model: ModelView,
    rules: Rules,
    prices: Callable[[UUID], Mapping[str, int]],
    needed: Iterable[str],
) -> None:
    """Policy, route and needs: leaves the deployments that may answer. Raises GatewayError when none may."""
    choice.keep(lambda t: call.kind in t.capabilities or not t.capabilities, "does not answer calls of this kind")
    if not choice.targets:
        raise InvalidRequest(f"The model {model.name!r} cannot answer calls of this kind.", param="model")
    choice.keep(lambda t: _resides(t, rules.residency), "lies where the policy does not allow")
    if not choice.targets:
        raise PolicyViolation(f"No deployment of {model.name!r} lies where the policy {rules.name!r} allows.")
    choice.keep(lambda t: is_priced(t.provider.kind, t.provider.self_hosted, prices(t.id), call.kind), "has no price")
    if not choice.targets:
        raise Unavailable(
            f"The model {model.name!r} has no price yet, so its calls cannot be charged: ask an administrator for one.",
            retry_after=60,
        )
    choice.needs = list(needed)
    for need in choice.needs:
        able = {target.id for target in choice.targets if need in target.capabilities}
        _prefer(choice, _among(able), f"does not say that it knows {need}")


def fit(choice: Choice, tokens: int) -> None:
    """Leaves the deployments that can read so many tokens, where some can; else those that read the most."""
    _prefer(
        choice, lambda t: t.max_input_tokens is None or t.max_input_tokens >= tokens, "reads fewer tokens than this"
    )


def keep_private(
    choice: Choice, rules: Rules, entities: Mapping[str, int], classification: int | None, model: ModelView
) -> None:
    """Leaves self-hosted deployments alone, where the policy wants it for what was found. Raises PolicyViolation."""
    if rules.private is None:
        return
    choice.private = rules.private.reason(entities, classification)
    if not choice.private:
        return
    choice.keep(lambda t: t.provider.self_hosted, f"is not self-hosted: {choice.private}")
    if not choice.targets:
        raise PolicyViolation(
            f"The policy {rules.name!r} sends this to self-hosted deployments alone ({choice.private}), "
            f"and the model {model.name!r} has none."
        )


def needs(call: Call) -> Iterable[str]:
    """The capabilities that a call asks for."""
    if call.kind != "chat":
        return
    body = call.body
    yield from sorted(_MEDIA[medium] for medium in openai_chat.media_types(body))
    if body.get("tools"):
        yield "tools"
    if openai_chat.json_mode(body):
        yield "json"
    thinking = body.get("thinking")
    asked = body.get("reasoning_effort") not in (None, "none", "minimal")
    if asked or (isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")):
        yield "reasoning"


def _prefer(choice: Choice, kept: Callable[[Target], bool], reason: str) -> None:
    """Rejects the others only where some are kept: what nobody says of itself may still be so."""
    if any(map(kept, choice.targets)):
        choice.keep(kept, reason)


def _among(able: set[UUID]) -> Callable[[Target], bool]:
    return lambda target: target.id in able


def _resides(target: Target, residency: frozenset[str] | None) -> bool:
    if residency is None:
        return True
    return target.provider.region in residency or (target.provider.self_hosted and "self" in residency)
