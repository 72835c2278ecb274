"""How calls went lately, told by the trail."""

from __future__ import annotations

from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest
from django.utils import timezone

from audit import health
from audit.models import Event
from tenants.isolation import PLATFORM, scope
from tenants.services import make_tenant

SINCE = timedelta(minutes=15)


@pytest.fixture
def tenant(database: None) -> Any:
    with scope(PLATFORM):
        return make_tenant(f"health-{token_hex(4)}", "Health")[0].pk


def outcome(deployment: str, latency: float, actor: str = "a", reason: str = "", **detail: Any) -> None:
    Event.objects.create(
        action="call.outcome",
        actor_type="key",
        actor_id=actor,
        deployment=deployment,
        reason=reason,
        latency_ms=latency,
        detail=detail,
    )


def failed(*names: str, error: str = "upstream_timeout") -> list[dict[str, str]]:
    return [{"deployment": name, "error": error} for name in names]


def test_a_deployment_that_answers_after_another_failed(tenant: Any):
    with scope(tenant):
        for number in range(1, 101):
            outcome("one/model", float(number))
        outcome("two/model", 50.0, failed=failed("one/model"))
        one, two = health.deployments(timezone.now() - SINCE)
        assert (one.answered, one.failed, one.median_ms, one.slow_ms) == (100, 1, 50, 95)
        assert (one.failing, one.error) == (True, "upstream_timeout")
        assert (two.answered, two.failed, two.failing, two.error) == (1, 0, False, "")
        outcome("one/model", 1.0)
        assert [it.failing for it in health.deployments(timezone.now() - SINCE)] == [False, False]


def test_a_call_that_failed_everywhere_answers_for_nobody(tenant: Any):
    with scope(tenant):
        outcome("two/model", 9.0, reason="upstream_timeout", failed=failed("one/model", "two/model"))
        assert health.latency(timezone.now() - SINCE) is None
        found = health.deployments(timezone.now() - SINCE)
    assert [(it.deployment, it.answered, it.failed, it.failing) for it in found] == [
        ("one/model", 0, 1, True),
        ("two/model", 0, 1, True),
    ]


def test_one_that_answers_when_it_is_asked_again_is_not_failing(tenant: Any):
    with scope(tenant):
        outcome("one/model", 9.0, failed=failed("one/model"))
        [one] = health.deployments(timezone.now() - SINCE)
    assert (one.answered, one.failed, one.failing) == (1, 1, False)


def test_who_hung_up_or_was_revoked_is_no_fault_of_the_deployment(tenant: Any):
    with scope(tenant):
        outcome("one/model", 9.0, reason="interrupted", failed=failed("one/model", error="interrupted"))
        assert health.deployments(timezone.now() - SINCE) == []


def test_latency_is_of_ninety_five_in_a_hundred_and_of_those_one_may_see(tenant: Any):
    with scope(tenant):
        assert health.latency(timezone.now() - SINCE) is None
        for number in range(1, 101):
            outcome("one/model", float(number), actor="mine" if number <= 20 else "theirs")
        since = timezone.now() - SINCE
        assert health.latency(since) == 95
        assert health.latency(since, ["mine"]) == 19
        assert health.latency(since, []) is None
        assert [it.answered for it in health.deployments(since, ["mine"])] == [20]
        assert health.deployments(timezone.now() + timedelta(hours=1)) == []
