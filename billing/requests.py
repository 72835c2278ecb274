"""More budget: asked for by whoever uses one up, given or refused by somebody else who manages money."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from tenants.isolation import current
from tenants.models import Tenant, User

from . import mail
from .errors import RequestRefused
from .models import Budget, BudgetRequest, RequestState
from .prices import money_string
from .watch import recipients


def ask(budget: Budget, limit: Decimal, reason: str, *, asked_by: str, asked_by_id: str) -> BudgetRequest:
    """A wish that a budget be raised, in the open scope; who decides is told by mail. Raises RequestRefused."""
    if limit <= budget.limit:
        raise RequestRefused(f"The budget is {money_string(budget.limit)} USD already: ask for more than that.")
    if not reason.strip():
        raise RequestRefused("Say what the money is needed for.")
    try:
        with transaction.atomic():
            made = BudgetRequest.objects.create(
                budget=budget,
                limit=limit,
                reason=reason.strip()[:500],
                asked_by=asked_by[:200],
                asked_by_id=asked_by_id[:80],
            )
    except IntegrityError as error:
        raise RequestRefused("You have asked for more of this budget already; somebody will decide.") from error
    _tell(recipients(), f"{asked_by} asks for more budget", made)
    return made


def decide(request: BudgetRequest, approve: bool, *, decided_by: str, decided_by_id: str) -> BudgetRequest:
    """Gives what was asked for, or not, in the open scope. Raises RequestRefused: nobody decides on their own wish."""
    row = BudgetRequest.objects.select_for_update().get(pk=request.pk)
    if row.state != RequestState.OPEN:
        raise RequestRefused(f"This request is {row.state} already.")
    if row.asked_by_id == decided_by_id:
        raise RequestRefused("Somebody else decides on what you have asked for.")
    row.state = RequestState.APPROVED if approve else RequestState.REFUSED
    row.decided_by, row.decided_at = decided_by[:200], timezone.now()
    row.save(update_fields=["state", "decided_by", "decided_at"])
    if approve:
        budget = Budget.objects.select_for_update().get(pk=row.budget_id)
        budget.limit = max(budget.limit, row.limit)
        budget.save(update_fields=["limit"])
    asker = User.objects.filter(pk=row.asked_by_id).first()  # none where a key has asked
    _tell([asker.email] if asker else [], f"More budget: {row.state}", row)
    return row


def _tell(to: Iterable[str], subject: str, request: BudgetRequest) -> None:
    tenant = Tenant.objects.get(pk=current())
    body = f"{request.asked_by} asked for a limit of {money_string(request.limit)} USD.\n\n{request.reason}\n"
    if request.decided_by:
        body += f"\n{request.state.capitalize()} by {request.decided_by}.\n"
    mail.write(to, f"{tenant.name}: {subject}", body)
