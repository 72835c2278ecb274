"""The sequence of one call, from caller to receipt. This file is the product; every step lives in a room of its own.

    identify -> rights -> limits -> recall -> mask -> candidates -> reserve -> intent -> provider -> restore -> outcome

No byte leaves before the intent is durable, no answer is complete before its outcome is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import orjson

from billing.errors import BudgetExhausted as NoBudget
from billing.errors import LedgerUnavailable
from billing.services import Budgets, Leases, Prices, Reservation, cost, dearest, usd
from policies.errors import RulesError
from policies.services import (
    Blocked,
    Context,
    Decision,
    DetectorFailed,
    Direction,
    GuardrailFailed,
    Masked,
    MediaRefused,
    Pii,
    PiiError,
    PiiRefused,
    Restorer,
    Rules,
    Source,
    TextTooLarge,
    Vault,
    judge_inventions,
    restore_text,
    restore_value,
    rules_for,
    strings,
    vault_of_call,
)
from retrieval.errors import RetrievalError, SearchUnavailable
from retrieval.services import (
    SOURCES_BUDGET,
    Cited,
    NumberedPassage,
    Passage,
    cite,
    classification_of,
    numbered,
    recall,
    standalone,
)
from tenants.data import Caller
from tenants.isolation.pool import Pool
from tenants.snapshot import Snapshot, Snapshots

from . import prompts
from .bodies import Bodies
from .candidates import NO_ANSWER, Choice, Plan, choose, fit, keep_private, needs
from .catalogue import PART as CATALOGUE
from .catalogue import Catalogue, ModelView
from .data import Call, RetrievalRequest, Target, Tokens
from .errors import (
    BudgetExhausted,
    DetectorUnavailable,
    GatewayError,
    InvalidRequest,
    ModelNotAllowed,
    ModelNotFound,
    PersonalDataBlocked,
    PolicyViolation,
    RateLimited,
    RequestTooLarge,
    Revoked,
    Unavailable,
)
from .journal import Attempt, Intent, Journal, Outcome, Refusal
from .limits import Limits
from .memory import Memory, ResponseNotFound
from .providers import PASSAGES, provider_for
from .providers.tokens import count_input, count_text
from .routing import Opened, Router
from .streaming import Form, StreamRewriter, collected
from .surfaces import (
    anthropic_messages,
    embeddings,
    moderations,
    openai_chat,
    openai_completions,
    openai_responses,
    rerank,
)
from .surfaces.reading import purpose_of
from .surfaces.responses_events import ResponsesForm

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Plain:
    """A whole answer."""

    body: dict[str, Any]
    headers: Headers


class Steps:
    """How long each step of a call took, in milliseconds. What took less than a tenth of one is not worth a word."""

    __slots__ = ("_last", "began", "took")

    def __init__(self) -> None:
        self.began = self._last = time.perf_counter()
        self.took: dict[str, float] = {}

    def done(self, step: str) -> None:
        """The step ends now; it began when the one before ended."""
        now = time.perf_counter()
        if now - self._last >= 0.0001:
            self.took[step] = round((now - self._last) * 1000, 1)
        self._last = now

    def so_far(self) -> float:
        """Milliseconds since the call came."""
        return (time.perf_counter() - self.began) * 1000


@dataclass(slots=True)
class Prepared:
    """A call that may leave: everything is decided, nothing has been sent."""

    call: Call
    caller: Caller
    snapshot: Snapshot
    rules: Rules
    model: ModelView
    targets: list[Target]
    masked: Masked
    sources: Sequence[NumberedPassage]
    reservation: Reservation
    intent: Intent
    route: dict[str, Any]  #: why these deployments, for the audit trail
    ceiling: int  #: output tokens that are paid for
    estimated: int  #: tokens that the limits were charged with
    headers: Headers
    steps: Steps


@dataclass(slots=True)
class Seen:
    """What is known of a call that may still be refused."""

    policy: str = ""
    entities: dict[str, int] = field(default_factory=dict)
    decisions: Sequence[Decision] = ()
    choice: Choice | None = None
    model: ModelView | None = None

    def told(self) -> dict[str, Any]:
        """What the audit trail keeps of a refusal."""
        route = self.choice.row(self.model) if self.choice is not None and self.model is not None else {}
        return {**_decided(self.decisions), **route}


class Attempts:
    """The tries of one call at providers, as the journal wants them."""

    __slots__ = ("_prices", "rows")

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self.rows: list[Attempt] = []

    def failed(self, target: Target, error: GatewayError) -> None:
        """A try that gave nothing."""
        self.rows.append(Attempt(target.label, target.id, target.provider.region, error=error.code))

    def answered(self, target: Target, tokens: Tokens, error: str = "") -> int:
        """A try that delivered tokens; returns its cost in pico-dollars."""
        spent = cost(tokens, self._prices.of(target.id))
        self.rows.append(Attempt(target.label, target.id, target.provider.region, tokens, spent, error))
        return spent


class Pipeline:
    """Answers calls. One per worker; holds no state of a call."""

    def __init__(
        self,
        snapshots: Snapshots,
        journal: Journal,
        leases: Leases,
        limits: Limits,
        pii: Pii,
        search: Pool,
        memory: Memory,
        bodies: Bodies,
    ) -> None:
        self.snapshots = snapshots
        self.router = Router()
        self._journal, self._leases = journal, leases
        self._limits, self._pii, self._search = limits, pii, search
        self.memory = memory
        self._bodies = bodies

    async def answer(self, call: Call, caller: Caller, snapshot: Snapshot) -> Plain | Stream:
        """The whole way of one call. Raises GatewayError; by then its refusal or outcome is recorded."""
        prepared = await self._prepare(call, caller, snapshot)
        if call.stream:
            return Stream(self, prepared)
        return await self._plain(prepared)

    def models(self, caller: Caller, snapshot: Snapshot, address: str = "") -> list[ModelView]:
        """The models that a caller may call from an address."""
        rules = _rules(caller, snapshot).at(Context(address, claims=caller.claims))
        catalogue: Catalogue = snapshot.parts[CATALOGUE]
        return [model for model in catalogue.values() if _may_call(caller, rules, model)]

    async def count(self, call: Call, caller: Caller, snapshot: Snapshot) -> dict[str, Any]:
        """The tokens of a call that the caller might make. Nothing leaves the house."""
        _model(call, caller, admitted(caller, snapshot, _context(call, caller)), snapshot)
        verdict = await self._limits.admit(caller, 0)
        if not verdict.allowed:
            raise RateLimited(f"Too many {verdict.reason} a minute.", retry_after=verdict.retry_after)
        return await asyncio.to_thread(anthropic_messages.counted, call)

    async def moderate(
        self, texts: Sequence[str], caller: Caller, snapshot: Snapshot, address: str
    ) -> list[dict[str, Any]]:
        """What the guardrails of the caller's policy hold of some texts. Nothing leaves the house."""
        if not caller.may("models.call"):
            raise PolicyViolation(f"The role {caller.role} may not call models.")
        rules = admitted(caller, snapshot, Context(address, claims=caller.claims))
        verdict = await self._limits.admit(caller, sum(map(len, texts)) // 4)
        if not verdict.allowed:
            raise RateLimited(f"Too many {verdict.reason} a minute.", retry_after=verdict.retry_after)
        try:
            return await asyncio.to_thread(moderations.judge, texts, rules.guardrails)
        except GuardrailFailed as error:
            raise Unavailable(str(error)) from error

    def found(self, p: Prepared) -> dict[str, dict[str, Any]]:
        """Of what type each stand-in is, and how sure the detector was of it ("type", "score": 0 to 1).

        It looks again: not for the hot path.
        """
        found: dict[str, dict[str, Any]] = {}
        said = [*strings(p.call.body.get("messages")), *(source.text for source in p.sources)]
        for text in said:
            try:
                entities = self._pii.redact_text(text, p.rules.pii, vault=p.masked.vault).entities
            except PiiError:  # it is only told less
                continue
            for entity in entities:
                known = found.get(entity.replacement, {"score": 0.0})
                score = max(entity.score, known["score"])
                found[entity.replacement] = {"type": entity.type, "score": score}
        return found

    async def search(
        self, request: UUID, caller: Caller, snapshot: Snapshot, wanted: RetrievalRequest, address: str
    ) -> Sequence[Passage]:
        """Passages in the caller's rights, without a model; under the conditions that hold for calls."""
        try:
            admitted(caller, snapshot, Context(address, wanted.purpose, claims=caller.claims))
        except PolicyViolation as error:
            policy = _rules(caller, snapshot).label
            refusal = Refusal(request, caller, error.code, kind="search", policy=policy, address=address)
            await self._journal.refused(replace(refusal, detail={"message": str(error)}))
            raise
        verdict = await self._limits.admit(caller, sum(map(len, wanted.queries)) // 4)
        if not verdict.allowed:
            raise RateLimited(f"Too many {verdict.reason} a minute.", retry_after=verdict.retry_after)
        return await self._recall(caller, wanted.queries, wanted)

    # -- before anything leaves -------------------------------------------------------------------------------------

    async def _prepare(self, call: Call, caller: Caller, snapshot: Snapshot) -> Prepared:
        """Every decision about a call. What is refused here is recorded as one `call.refused`."""
        seen = Seen()
        try:
            return await self._decide(call, caller, snapshot, seen)
        except GatewayError as error:
            if error.status not in (400, 413):  # a body that means nothing is not a decision
                await self._journal.refused(
                    Refusal(
                        call=call.id,
                        caller=caller,
                        reason=error.code,
                        kind=call.kind,
                        model=call.model,
                        policy=seen.policy,
                        entities=seen.entities,
                        address=call.client_ip,
                        detail={"message": str(error), **_budget_of(error), **seen.told()},
                    )
                )
            raise

    async def _decide(self, call: Call, caller: Caller, snapshot: Snapshot, seen: Seen) -> Prepared:
        steps = Steps()
        rules = _rules(caller, snapshot).at(_context(call, caller))
        seen.policy = rules.label
        if rules.refusal:
            raise PolicyViolation(rules.refusal)
        if call.previous is not None:
            _model(call, caller, rules, snapshot)
            call = await self._continued(call, caller)
        plan = _planned(call, caller, rules, snapshot, seen)
        model, prices, asked = plan.model, _prices(snapshot).of, _estimated_input(call)
        choice, seen.model = plan.choice.copy(), model
        seen.choice = choice
        fit(choice, asked)
        targets = choice.targets

        each = _tokens_each(call, rules, targets)
        wanted = each * (call.body.get("n") or 1)
        estimated = asked + wanted
        verdict = await self._limits.admit(caller, estimated)
        if not verdict.allowed:
            raise RateLimited(
                f"Too many {verdict.reason} a minute for this key or tenant.", retry_after=verdict.retry_after
            )

        steps.done("limits")
        body, sources = await self._compose(call, caller, targets)
        steps.done("retrieval")
        body = await self._judge(body, rules, call, seen)
        steps.done("guardrails")
        vault = vault_of_call(caller, rules.pii.scope, call.body)
        masked = await self._mask(body, rules, _quoted(call), vault)
        steps.done("masking")
        seen.entities = masked.counts
        classification = await self._classification(caller, rules, sources)
        keep_private(choice, rules, masked.counts, classification, model)
        targets = self.router.order(choice.targets, model.strategy, prices)

        size = _input_bound(masked.body)
        reservation, ceiling = await self._reserve(caller, snapshot, plan, targets, size, wanted)
        steps.done("budget")
        if call.retrieval is not None and not sources and not call.retrieval.ask_anyway:
            targets = [NO_ANSWER]
        intent = Intent(
            call=call.id,
            caller=caller,
            kind=call.kind,
            model=model.name,
            model_id=model.id,
            deployment=targets[0].label,
            deployment_id=targets[0].id,
            region=targets[0].provider.region,
            policy=rules.label,
            reservation=reservation,
            input_tokens=size,
            output_tokens=ceiling,
            entities=masked.counts,
            passages=[_cited(source) for source in sources],
            stream=call.stream,
            address=call.client_ip,
            detail=_about(call, seen),
        )
        await self._journal.intent(intent)
        steps.done("record")
        return Prepared(
            call=call,
            caller=caller,
            snapshot=snapshot,
            rules=rules,
            model=model,
            targets=targets,
            masked=masked,
            sources=sources,
            reservation=reservation,
            intent=intent,
            route=choice.row(model),
            ceiling=ceiling,
            estimated=estimated,
            headers=[
                (b"x-customhouse-policy", rules.label.encode()),
                (b"x-customhouse-pii", ",".join(f"{kind}={n}" for kind, n in masked.counts.items()).encode()),
                *verdict.headers(),
            ],
            steps=steps,
        )

    async def _continued(self, call: Call, caller: Caller) -> Call:
        """The call with the conversation in front that it goes on from."""
        assert call.previous is not None
        try:
            kept = await self.memory.find(caller, call.previous)
        except ResponseNotFound:
            raise InvalidRequest("The previous response was not found.", param="previous_response_id") from None
        return openai_responses.continued(call, kept.messages)

    async def _recall(self, caller: Caller, queries: Sequence[str], wanted: RetrievalRequest) -> Sequence[Passage]:
        if not caller.may("documents.search"):
            raise PolicyViolation(f"The role {caller.role} may not search documents.")
        try:
            return await recall(
                self._search,
                caller.scope(),
                queries,
                collections=wanted.collections,
                top_k=wanted.top_k,
                filter=wanted.filter,
                min_score=wanted.min_score,
            )
        except SearchUnavailable as error:
            raise Unavailable(str(error)) from error
        except RetrievalError as error:
            raise InvalidRequest(str(error), param="retrieval") from error

    async def _compose(
        self, call: Call, caller: Caller, targets: Sequence[Target]
    ) -> tuple[dict[str, Any], Sequence[NumberedPassage]]:
        """The body that will be masked, with what the documents know when the call asks for it."""
        if call.retrieval is None:
            return call.body, ()
        messages, wanted = call.body["messages"], call.retrieval
        queries = wanted.queries or standalone(prompts.turns_of(messages))
        sources = numbered(await self._recall(caller, queries, wanted), wanted.budget or SOURCES_BUDGET)
        body = {**call.body, "messages": prompts.grounded(messages, sources)}
        if any(target.provider.kind == "extractive" for target in targets):
            body[PASSAGES] = [{"number": s.number, "title": s.title, "text": s.text} for s in sources]
        return body, sources

    async def _classification(self, caller: Caller, rules: Rules, sources: Sequence[NumberedPassage]) -> int | None:
        """The highest classification of what is quoted, where the policy asks for it."""
        if not sources or rules.private is None or rules.private.classification is None:
            return None
        try:
            documents = list({source.document_id for source in sources})
            return await classification_of(self._search, caller.scope(), documents)
        except SearchUnavailable as error:
            raise Unavailable(str(error)) from error

    async def _judge(self, body: dict[str, Any], rules: Rules, call: Call, seen: Seen) -> dict[str, Any]:
        """What the policy's guardrails leave of a request. Raises PolicyViolation when one of them refuses it."""
        if not rules.guardrails.look_at(Direction.REQUEST):
            return body
        try:
            judged = await asyncio.to_thread(rules.guardrails.request, body, _quoted(call))
        except GuardrailFailed as error:
            raise Unavailable(str(error)) from error
        seen.decisions = judged.decisions
        _refuse(judged.blocked, "request")
        left: dict[str, Any] = judged.body
        return left

    async def _mask(
        self, body: dict[str, Any], rules: Rules, sources: Mapping[int | str, Source] | None, vault: Vault | None
    ) -> Masked:
        """Placeholders for personal data in every string. Whatever fails here, nothing leaves."""
        try:
            return await self._pii.mask(body, rules.pii, sources=sources, vault=vault)
        except TextTooLarge as error:
            raise RequestTooLarge(str(error)) from error
        except Blocked as error:
            raise PersonalDataBlocked(str(error)) from error
        except MediaRefused as error:
            raise PolicyViolation(str(error)) from error
        except PiiRefused as error:
            raise InvalidRequest(str(error)) from error
        except DetectorFailed as error:
            raise DetectorUnavailable(str(error)) from error

    async def judged_answer(self, p: Prepared, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[Decision]]:
        """What the policy leaves of an answer: its guardrails, and its rules for personal data that the model made up;
        and what they decided. Raises Refused, NotJudged.
        """
        decisions: tuple[Decision, ...] = ()
        if p.call.kind != "chat":
            return body, decisions
        guardrails, vault = p.rules.guardrails, p.masked.vault
        try:
            if guardrails.look_at(Direction.RESPONSE):
                judged = await asyncio.to_thread(
                    guardrails.response, body, openai_chat.schema(p.call.body), lambda text: restore_text(text, vault)
                )
                _refuse(judged.blocked, "answer", judged.decisions)
                body, decisions = judged.body, judged.decisions
            if p.rules.pii.answers:
                judged = await asyncio.to_thread(judge_inventions, body, p.rules.pii, self._pii, strings(p.masked.body))
                _refuse(judged.blocked, "answer", decisions + judged.decisions)
                body, decisions = judged.body, decisions + judged.decisions
        except (GuardrailFailed, PiiError) as error:
            raise NotJudged(str(error)) from error
        return body, decisions

    async def _reserve(
        self,
        caller: Caller,
        snapshot: Snapshot,
        plan: Plan,
        targets: Sequence[Target],
        size: int,
        wanted: int,
    ) -> tuple[Reservation, int]:
        """Holds the worst case in every budget of the call; near a limit, what is left of it and a lower ceiling."""
        rates = plan.rates if len(targets) == len(plan.rates) else _rates(snapshot, targets)
        amount = _most(rates, size, wanted)
        lowest = _most(rates, size, min(wanted, FEWEST_TOKENS))
        try:
            reservation = await self._leases.reserve(caller.tenant, plan.budgets, amount, at_least=lowest)
        except NoBudget as error:
            refused = BudgetExhausted(str(error))
            refused.budget = str(error.budget.id)
            raise refused from error
        except LedgerUnavailable as error:
            raise Unavailable(str(error), retry_after=2) from error
        if reservation.amount >= amount:
            return reservation, wanted
        return reservation, (reservation.amount - _most(rates, size, 0)) // _most(rates, 0, 1)

    # -- plain answers ----------------------------------------------------------------------------------------------

    async def _plain(self, p: Prepared) -> Plain:
        attempts = Attempts(_prices(p.snapshot))
        try:
            target, reply = await self.router.plain(p.targets, lambda target: _send(p, target), attempts.failed)
            p.steps.done("model")
            tokens = reply.tokens or _estimate(p, reply.body)
            said, decisions = await self.judged_answer(p, reply.body)
            body = restore_value(said, p.masked.vault)
            cited = self.cited(p, openai_chat.answer_text(body))
            answer = SURFACES[p.call.dialect].plain(p.call, body, None if cited is None else cited.citations, tokens)
        except (Refused, NotJudged) as error:  # the vendor has answered, and is paid
            attempts.answered(target, tokens, error.code)
            why = _decided(error.decisions) or None
            await self.settle(p, attempts, reason=error.code, tokens=tokens, detail=why, said=reply.body)
            raise
        except GatewayError as error:
            await self.settle(p, attempts, reason=error.code)
            raise
        except BaseException:
            self.settle(p, attempts, reason="interrupted")
            raise
        spent = attempts.answered(target, tokens)
        cut = p.ceiling < p.intent.output_tokens
        reason = "budget" if cut else ""
        detail = _decided(decisions) | _checked(cited)
        settled = self.settle(p, attempts, tokens=tokens, reason=reason, detail=detail or None, said=said)
        kept = self.remember(p, answer)
        await settled
        if kept is not None:
            await kept
        headers = [(b"x-customhouse-cost", usd(spent).encode()), (b"x-customhouse-model", target.label.encode())]
        return Plain(answer, headers + p.headers)

    def cited(self, p: Prepared, answer: str) -> Cited | None:
        """The sources of a restored answer; None when the call asked for none."""
        return None if p.call.retrieval is None else cite(answer, p.sources)

    def remember(self, p: Prepared, answer: dict[str, Any]) -> Awaitable[None] | None:
        """Hands over an answer that a conversation may go on from, to be kept; awaiting it tells when it is durable."""
        kept = openai_responses.remembered(p.call, answer) if p.call.dialect == "responses" else None
        return None if kept is None else self.memory.keep(p.caller, p.call.id, kept)

    def settle(
        self,
        p: Prepared,
        attempts: Attempts,
        *,
        reason: str = "",
        tokens: Tokens | None = None,
        detail: dict[str, Any] | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> Awaitable[Any]:
        """Hands over the one outcome of a call, at once; awaiting it tells when that is durable. Where the policy has
        bodies kept, this one goes with it; `said` is the answer as the vendor gave it.
        """
        self._limits.correct(p.caller, p.estimated, _total(tokens))
        if not reason and p.targets[0] is NO_ANSWER:
            reason = "no_answer"
        told = {**p.route, **(detail or {})}
        if p.steps.took:
            told["steps"] = list(p.steps.took.items())  # pairs: an object would lose their order in the database
        recorded = self._journal.outcome(
            Outcome(
                intent=p.intent, attempts=attempts.rows, reason=reason, latency_ms=p.steps.so_far(), detail=told or None
            )
        )
        if not p.rules.keeps_bodies:
            return recorded
        kept = self._bodies.keep(p.caller, p.call.id, p.rules.logging, p.rules.body_days, _content(p, said))
        both = asyncio.gather(recorded, kept)
        both.add_done_callback(_looked_at)
        return both


class Stream:
    """A streamed answer: `start` gives its first block, `rest` the others, then stands the `last`; `close` in any case.

    A client that hangs up and a key that is revoked both cancel the task that streams; which of them it was decides
    whether there is still anybody to tell.
    """

    def __init__(self, pipeline: Pipeline, prepared: Prepared) -> None:
        self._pipeline, self._p = pipeline, prepared
        self._attempts = Attempts(_prices(prepared.snapshot))
        self._opened: Opened | None = None
        self._tokens_seen: Tokens | None = None  #: of an answer that was held
        self._settled = self._gone = self._revoked = False
        self._snapshot = prepared.snapshot
        self._clock: asyncio.TimerHandle | None = None
        self._target = prepared.targets[0]
        self._first_ms: float | None = None
        self._decisions: Sequence[Decision] = ()
        self.last = b""
        self._forget: Callable[[], None] | None = None
        vault, body = prepared.masked.vault, prepared.call.body
        self._form: Form = SURFACES[prepared.call.dialect].form(prepared.call)
        self._rewriter = StreamRewriter(
            prepared.call.model,
            openai_chat.answer_id(prepared.call.id),
            (lambda escape: Restorer(vault, escape)) if vault else None,
            json_mode=openai_chat.json_mode(body),
            ceiling=prepared.ceiling,
            form=self._form,
        )

    @property
    def headers(self) -> Headers:
        """Known when the first block is."""
        return [(b"x-customhouse-model", self.model.encode()), *self._p.headers]

    @property
    def model(self) -> str:
        """Who answers: known when the first block is, and another than the first choice after a fallback."""
        return self._target.label

    @property
    def steps(self) -> dict[str, float]:
        """Milliseconds by step, as far as the call has come."""
        return self._p.steps.took

    def told(self) -> dict[str, Any]:
        """What leaves, by what it was decided, and where to: for whoever wrote the prompt. Nothing of the vault."""
        p = self._p
        sent = {name: value for name, value in p.masked.body.items() if name in ("messages", "tools")}
        return {
            **sent,
            "entities": p.masked.counts,
            "found": self._pipeline.found(p),
            "candidates": [target.label for target in p.targets],
            "policy": p.rules.name,
            "passages": [{**_cited(source), "title": source.title, "text": source.text} for source in p.sources],
            **p.route,
            "steps": p.steps.took,
        }

    async def start(self, on_gone: Callable[[Callable[[], None]], None]) -> bytes:
        """The first block that the client gets. Raises GatewayError, which is settled then.

        on_gone: takes what is to be called when the client hangs up.
        """
        task = asyncio.current_task()
        assert task is not None
        on_gone(lambda: self._hung_up(task))
        self._forget = self._pipeline.snapshots.watch(
            self._p.caller.tenant, lambda snapshot: self._changed(snapshot, task)
        )
        p = self._p
        now = self._pipeline.snapshots.latest(p.snapshot)
        # What changed while the call was decided, nobody has told us.
        if now is not p.snapshot or _hangs_on_time(p, now):
            self._changed(now, task)
        try:
            self._target, self._opened = await self._pipeline.router.stream(
                p.targets,
                lambda target: provider_for(target.provider.kind).stream(target, _outgoing(p, target)),
                self._attempts.failed,
            )
            if p.rules.holds_answers:
                await self._hold(self._opened)
            async for block in self._opened:
                if self._first_ms is None:
                    self._first_ms = p.steps.so_far()
                sent = self._rewriter.feed(block)
                if sent or self._rewriter.done:
                    return sent
            return b""
        except GatewayError as error:
            if isinstance(error, Refused | NotJudged):
                self._decisions = error.decisions
            await self._settle(error.code)
            raise
        except asyncio.CancelledError:
            if self._cut_off:
                task.uncancel()
                await self._settle("revoked")
                raise Revoked(_CUT) from None
            raise

    async def rest(self) -> AsyncIterator[bytes]:
        """The other blocks but the `last`. What goes wrong from here on is told inside the stream."""
        rewriter, opened = self._rewriter, self._opened
        assert opened is not None
        try:
            while not rewriter.done:
                sent = rewriter.feed(await anext(opened))
                if sent:
                    yield sent
            tokens = self._tokens()
            guardrails = self._p.rules.guardrails
            if guardrails.look_at(Direction.RESPONSE) and not self._p.rules.holds_answers:
                _, self._decisions = await self._pipeline.judged_answer(self._p, rewriter.answer())
            spent = self._attempts.answered(self._target, tokens)
            cited = self._pipeline.cited(self._p, rewriter.restored()) if self._p.call.retrieval else None
            settled = self._hand_over(rewriter.stopped_by, tokens, cited)
            last = rewriter.end(citations=None if cited is None else cited.citations, cost=usd(spent), tokens=tokens)
            kept = isinstance(self._form, ResponsesForm) and self._pipeline.remember(self._p, self._form.answer)
            await settled
            if kept:
                await kept
            self.last = last
        except GatewayError as error:
            await self._settle(error.code)
            self.last = rewriter.broken(error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._cut_off or task is None:
                raise
            task.uncancel()
            await self._settle("revoked")
            self.last = rewriter.broken(Revoked(_CUT))

    async def close(self) -> None:
        """Hangs up upstream and settles what was delivered, if nothing else did. Safe to call in any state."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._forget is not None:
            self._forget()
            self._forget = None  # it knows this stream: only the collector could free the two together
        settled = self._settle("revoked" if self._cut_off else "interrupted")
        if self._opened is not None:
            await self._opened.close()
        await asyncio.shield(settled)

    @property
    def over(self) -> bool:
        """Whether the client has gone or may not go on: then nobody is left to answer."""
        return self._gone or self._revoked

    @property
    def _cut_off(self) -> bool:
        return self._revoked and not self._gone

    async def _hold(self, opened: Opened) -> None:
        """Waits for the whole answer, as the policy's guardrails must see it before its first byte goes out. Where they
        take something out of it, the client gets what is left in few events.
        """
        blocks = [block async for block in opened]
        answer = collected(blocks)
        self._tokens_seen = answer.tokens or _estimate(self._p, answer.body)
        said, self._decisions = await self._pipeline.judged_answer(self._p, answer.body)
        opened.replay(blocks if said is answer.body else answer.events(said))

    # -- how it ends ------------------------------------------------------------------------------------------------

    def _settle(self, reason: str) -> Awaitable[None]:
        """The outcome of a stream that did not end well: what was delivered is charged. Once."""
        if self._settled:
            return _done()
        tokens = None
        if self._opened is not None:
            tokens = self._tokens()
            self._attempts.answered(self._target, tokens, reason)
        return self._hand_over(reason, tokens)

    def _hand_over(self, reason: str, tokens: Tokens | None, cited: Cited | None = None) -> Awaitable[None]:
        self._settled = True
        if self._opened is not None:
            self._p.steps.done("model")
        detail: dict[str, Any] = _decided(self._decisions) | _checked(cited)
        if self._first_ms is not None:
            detail["first_token_ms"] = round(self._first_ms, 3)
        said = self._rewriter.answer() if self._p.rules.keeps_bodies else None
        return self._pipeline.settle(
            self._p, self._attempts, reason=reason, tokens=tokens, detail=detail or None, said=said
        )

    def _tokens(self) -> Tokens:
        """What the vendor counted, else what was counted here."""
        counted = self._rewriter.tokens or self._tokens_seen
        if counted is not None:
            return counted
        return Tokens(input=count_input(self._p.masked.body), output=self._rewriter.output_tokens(), estimated=True)

    def _hung_up(self, task: asyncio.Task[Any]) -> None:
        self._gone = True
        task.cancel()

    def _changed(self, snapshot: Snapshot, task: asyncio.Task[Any]) -> None:
        """A new snapshot of the tenant: is the key still there, and may it still call this model?"""
        self._snapshot = snapshot
        if self._revoked:
            return
        if not _still_may(self._p, snapshot):
            self._revoked = True
            task.cancel()
        elif self._clock is None and _hangs_on_time(self._p, snapshot):
            self._clock = asyncio.get_running_loop().call_later(CLOCK_SECONDS, self._strike, task)

    def _strike(self, task: asyncio.Task[Any]) -> None:
        """Time has passed, which a policy may ask for as well."""
        self._clock = None
        self._changed(self._snapshot, task)


# -- decisions without I/O ------------------------------------------------------------------------------------------

#: How often a running stream is looked at whose policy asks what time it is.
CLOCK_SECONDS = 1.0

_CUT = (
    "What allowed this call was taken away while it was answered: the key or membership, the model, or a condition of "
    "the policy."
)

#: A budget that cannot pay for so many output tokens (or all that were asked for) refuses the call.
FEWEST_TOKENS = 16

#: How a dialect's answers are written.
SURFACES: dict[str, Any] = {
    "chat": openai_chat,
    "embeddings": embeddings,
    "messages": anthropic_messages,
    "responses": openai_responses,
    "completions": openai_completions,
    "rerank": rerank,
}


def _rules(caller: Caller, snapshot: Snapshot) -> Rules:
    try:
        return rules_for(caller, snapshot)
    except RulesError as error:
        raise Unavailable(str(error)) from error


def admitted(caller: Caller, snapshot: Snapshot, context: Context) -> Rules:
    """The rules that hold in a context. Raises PolicyViolation where their conditions refuse everything."""
    rules = _rules(caller, snapshot).at(context)
    if rules.refusal:
        raise PolicyViolation(rules.refusal)
    return rules


def _context(call: Call, caller: Caller) -> Context:
    purpose = purpose_of(call.body.get("metadata") or call.asked.get("metadata"))
    return Context(call.client_ip, purpose, claims=caller.claims)


def _budget_of(error: GatewayError) -> dict[str, str]:
    return {"budget": error.budget} if isinstance(error, BudgetExhausted) and error.budget else {}


def _prices(snapshot: Snapshot) -> Prices:
    prices: Prices = snapshot.parts["prices"]
    return prices


def _planned(call: Call, caller: Caller, rules: Rules, snapshot: Snapshot, seen: Seen) -> Plan:
    """A call's plan: the one at hand where nothing has changed. Raises GatewayError; `seen` keeps what is known."""
    needed = tuple(needs(call))
    place = id(caller), id(rules), call.model, call.kind, needed
    plans: dict[Any, Plan] = snapshot.caches.setdefault("plans", {})
    plan = plans.get(place)
    if plan is not None and plan.caller is caller and plan.rules is rules and time.time() < plan.until:
        return plan
    model = _model(call, caller, rules, snapshot)
    prices = _prices(snapshot)
    choice = seen.choice = Choice(list(model.targets))
    seen.model = model
    choose(choice, call, model, rules, prices.of, needed)
    budgets: Budgets = snapshot.parts["budgets"]
    found = budgets.of(department=caller.department, user=caller.user, key=caller.key, model=model.id)
    rates = _rates(snapshot, choice.targets)
    plan = plans[place] = Plan(caller, rules, model, choice.copy(), found, rates, prices.next_change)
    return plan


def _rates(snapshot: Snapshot, targets: Sequence[Target]) -> list[tuple[int, int]]:
    """Of deployments: pico-dollars for the dearest token that goes in, and that comes out."""
    prices = _prices(snapshot)
    return [dearest(prices.of(target.id)) for target in targets]


def _may_call(caller: Caller, rules: Rules, model: ModelView) -> bool:
    return caller.may_call(model.name, model.id) and rules.allows_model(model.name)


def _model(call: Call, caller: Caller, rules: Rules, snapshot: Snapshot) -> ModelView:
    """The model that was asked, if the caller may call it."""
    catalogue: Catalogue = snapshot.parts[CATALOGUE]
    model = catalogue.get(call.model)
    if model is None:
        raise ModelNotFound(f"The model {call.model!r} does not exist.", param="model")
    if not caller.may_call(model.name, model.id):
        raise ModelNotAllowed(f"This key may not call the model {call.model!r}.", param="model")
    if not rules.allows_model(call.model):
        raise ModelNotAllowed(f"The policy {rules.name!r} does not allow the model {call.model!r}.", param="model")
    return model


def _quoted(call: Call) -> dict[int | str, Source] | None:
    """The messages that quote documents, where they stand once retrieval has put its own before them."""
    if call.retrieval is None and not call.documents:
        return None
    before = 0 if call.retrieval is None else 1
    found: dict[int | str, Source] = {place + before: Source.DOCUMENT for place in call.documents}
    return found | ({0: Source.DOCUMENT, PASSAGES: Source.DOCUMENT} if before else {})


class Refused(PolicyViolation):
    """A guardrail refuses the answer: the vendor has been paid, the client gets none of it."""

    def __init__(self, message: str, decisions: Sequence[Decision]) -> None:
        super().__init__(message)
        self.decisions = decisions


class NotJudged(Unavailable):
    """A guardrail could not judge the answer, so nobody gets it."""

    decisions: Sequence[Decision] = ()


def _refuse(decision: Decision | None, what: str, decisions: Sequence[Decision] = ()) -> None:
    if decision is None:
        return
    where = f" in what the {decision.source} says" if decision.source else ""
    message = f"The guardrail {decision.guardrail!r} refuses this {what}: {decision.label}{where}."
    raise Refused(message, decisions) if decisions else PolicyViolation(message)


def _decided(decisions: Sequence[Decision]) -> dict[str, Any]:
    """Decisions of guardrails, as the audit trail keeps them."""
    return {"guardrails": [decision.row() for decision in decisions]} if decisions else {}


def _checked(cited: Cited | None) -> dict[str, Any]:
    """What is wrong with the marks of an answer, as the audit trail keeps it: none at all, or some without a source."""
    if cited is None or not cited.citations or (cited.marked and not cited.unknown):
        return {}
    return {"citations": {"marked": cited.marked, "unknown": list(cited.unknown)}}


def _about(call: Call, seen: Seen) -> dict[str, Any] | None:
    """What the audit trail keeps of a call besides its own columns."""
    detail: dict[str, Any] = _decided(seen.decisions)
    if call.traceparent:
        detail["traceparent"] = call.traceparent
    if call.dialect != call.kind:
        detail["dialect"] = call.dialect
    if call.tried_by is not None:
        detail["tried_by"] = str(call.tried_by)
    return detail or None


def _tokens_each(call: Call, rules: Rules, targets: Sequence[Target]) -> int:
    """Output tokens that one choice may have: what was asked, else the policy's default, within the models' own."""
    if call.kind != "chat":
        return 0
    asked = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    most = asked or rules.default_max_tokens
    known = [target.max_output_tokens for target in targets if target.max_output_tokens]
    return min([most, *known]) if not asked else most


def _estimated_input(call: Call) -> int:
    """Tokens of a request, for the limits: a quarter of its characters. Corrected when the vendor has counted."""
    if call.kind == "embeddings":
        value = call.body["input"]
        return (len(value) if isinstance(value, str) else sum(map(len, value))) // 4
    if call.kind == "rerank":
        return (len(call.body["query"]) + sum(map(len, call.body["documents"]))) // 4
    return sum(_length(message.get("content")) for message in call.body["messages"]) // 4


def _length(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(len(str(part)) for part in content) if isinstance(content, list) else 0


def _most(rates: Sequence[tuple[int, int]], into: int, out: int) -> int:
    """The worst case in pico-dollars over deployments with these dearest prices of a token in and out."""
    if len(rates) == 1:
        return rates[0][0] * into + rates[0][1] * out
    return max(dear_in * into + dear_out * out for dear_in, dear_out in rates)


def _input_bound(body: dict[str, Any]) -> int:
    """No tokenizer makes more tokens of a request than it has bytes."""
    return len(orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS))


def _outgoing(p: Prepared, target: Target) -> dict[str, Any]:
    """The masked body as this deployment gets it: its own model name, and never more output than is paid for."""
    body = {**p.masked.body, "model": target.upstream_model}
    if target.provider.kind != "extractive":
        body.pop(PASSAGES, None)
    if p.call.kind == "chat":
        name = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
        body[name] = p.ceiling // (body.get("n") or 1)
    if p.call.dialect == "messages":
        body = anthropic_messages.outgoing(p.call, body, knows_thinking=target.provider.kind == "litellm")
    return body


def _send(p: Prepared, target: Target) -> Awaitable[Any]:
    provider, body = provider_for(target.provider.kind), _outgoing(p, target)
    if p.call.kind == "chat":
        return provider.chat(target, body)
    return provider.embed(target, body) if p.call.kind == "embeddings" else provider.rerank(target, body)


def _estimate(p: Prepared, body: dict[str, Any]) -> Tokens:
    """Tokens of an answer whose vendor did not count them."""
    if p.call.kind == "embeddings":
        return Tokens(embedding=count_input(p.masked.body), estimated=True)
    if p.call.kind == "rerank":
        return Tokens(input=count_input(p.masked.body), estimated=True)
    texts = [orjson.dumps(choice.get("message")).decode() for choice in body.get("choices") or ()]
    said = openai_chat.answer_text(body)
    output = count_text(said) * len(texts) if said else sum(map(count_text, texts))
    return Tokens(input=count_input(p.masked.body), output=output, estimated=True)


def _total(tokens: Tokens | None) -> int:
    if tokens is None:
        return 0
    return tokens.input + tokens.cached_input + tokens.cache_write + tokens.output + tokens.reasoning + tokens.embedding


def _content(p: Prepared, said: Mapping[str, Any] | None) -> dict[str, Any]:
    """A body as it is kept: what went out and what came back; in full mode also what the client wrote and read."""
    sent = {name: value for name, value in p.masked.body.items() if name != PASSAGES}
    if p.call.kind == "embeddings":
        said = None  # numbers, which nobody reads and which would outweigh all else
    if p.rules.logging != "full":
        return {"sent": sent, "said": said}
    return {"sent": sent, "said": said, "request": p.call.body, "answer": restore_value(said, p.masked.vault)}


def _cited(source: NumberedPassage) -> dict[str, Any]:
    """A passage as the audit trail keeps it: where it stands, never what it says."""
    return {
        "number": source.number,
        "collection": str(source.collection_id) if source.collection_id else None,
        "document": str(source.document_id),
        "version": source.version,
        "chunk": str(source.chunk_id),
        "page": source.page,
        "score": source.score,
    }


def _still_may(p: Prepared, snapshot: Snapshot) -> bool:
    now = snapshot.again(p.caller)
    if now is None:
        return False
    try:
        rules = rules_for(now, snapshot).at(_context(p.call, now))
    except RulesError:
        return False
    return not rules.refusal and _may_call(now, rules, p.model) and p.model.name in snapshot.parts[CATALOGUE]


def _hangs_on_time(p: Prepared, snapshot: Snapshot) -> bool:
    """Whether what a caller may now they may perhaps not in a moment, though nobody changes anything."""
    now = snapshot.again(p.caller)
    return now is not None and rules_for(now, snapshot).timed


def _looked_at(done: asyncio.Future[Any]) -> None:
    """Nobody may be waiting for it any more; what went wrong is in the journal's log."""
    if not done.cancelled():
        done.exception()


async def _done() -> None:
    """Nothing is left to wait for."""
