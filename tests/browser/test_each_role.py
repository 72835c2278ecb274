"""The console in Chromium as each of the seven roles: what they see, that it is whole, and the work that is theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from secrets import token_hex

import pytest
from selenium.webdriver.support.ui import Select

from audit.models import Hold
from billing.models import Budget
from policies.models import Policy
from retrieval.data import Upload
from retrieval.services import create_collection, ingest_now
from tenants.isolation import scope
from tenants.models import ApiKey, Department, Grant
from tenants.roles import Role
from tenants.services import add_person
from tests.browser.conftest import PASSWORD, Acme, Browser

EVERYBODY = {"Overview", "Calls", "Audit trail", "Models", "Tenants"}
BEHIND = {"Deployments", "Providers"}
MONEY = {"Usage", "Budgets", "Requests", "Reports", "Prices"}
LEDGER = {"Alerts", "Schedules", "Reconciliation", "Re-rating"}
PEOPLE = {"Departments", "People", "Invitations", "Grants", "Roles"}
EVIDENCE = {"Exports", "Erasure requests", "Legal holds"}
DOCUMENTS = {"Documents", "Collections"}
#: What the navigation shows to each role.
SEEN = {
    "owner": EVERYBODY | BEHIND | MONEY | LEDGER | PEOPLE | EVIDENCE | DOCUMENTS
    | {"Playground", "Search", "Policies", "API keys", "Evidence", "Identity providers", "Provisioning (SCIM)"},
    "admin": EVERYBODY | BEHIND | MONEY | LEDGER | PEOPLE | DOCUMENTS
    | {"Playground", "Search", "Policies", "API keys", "Evidence"},
    "policy_manager": (EVERYBODY | BEHIND | DOCUMENTS | {"Playground", "Policies"}),
    "billing_manager": EVERYBODY | BEHIND | MONEY | LEDGER,
    "auditor": EVERYBODY | BEHIND | MONEY | LEDGER | EVIDENCE | {"Policies", "Evidence"},
    "developer": EVERYBODY | BEHIND | MONEY | DOCUMENTS | {"Playground", "Search", "Policies", "API keys"},
    "member": EVERYBODY | DOCUMENTS | {"Usage", "Playground", "Search", "API keys"},
}  # fmt: skip


NAMES = set().union(*SEEN.values())


@dataclass
class Place:
    """The tenant, one person for each role by address, and a draft of a policy."""

    acme: Acme
    people: dict[str, str]
    draft: Policy


@pytest.fixture(scope="module")
def place(acme: Acme) -> Place:
    people = {role.value: f"{role.value}-{token_hex(4)}@people.example" for role in Role}
    with scope(acme.tenant):
        legal = Department.objects.get(slug="legal")
        for role, email in people.items():
            add_person(email, role.replace("_", " ").title(), role, 2, [legal], PASSWORD)
        draft = Policy.objects.create(name="careful", scope="tenant", rules={"pii": {"default": "placeholder"}})
        create_collection("leases")
        ingest_now(Upload(collection="leases", title="Lease", text="The notice period of the lease is three months."))
    return Place(acme, people, draft)


#: The lines of the navigation without their icons, and where they lead.
LINES = """
return [...document.querySelectorAll('.ch-nav a[href]')].map(link => [[...link.childNodes]
    .filter(part => !(part.classList && part.classList.contains('material-symbols-outlined')))
    .map(part => part.textContent).join('').trim(), link.getAttribute('href')])
"""


def navigation(browser: Browser) -> dict[str, str]:
    return {name: address for name, address in browser.execute_script(LINES) if name in NAMES}


@pytest.mark.parametrize("role", SEEN)
def test_a_role_sees_its_pages_and_each_is_whole(browser: Browser, place: Place, role: str):
    browser.sign_in(place.people[role])
    lines = navigation(browser)
    assert set(lines) == SEEN[role]
    if role == "owner":
        return  # test_console opens all of theirs
    browser.errors()
    browser.foreign_requests()
    for name, address in lines.items():
        browser.open(address)
        assert browser.title.endswith("| Customhouse"), name
        assert browser.errors() == [], name
        assert browser.foreign_requests() == [], name


def saved(browser: Browser, button: str = ".ch-form button[type=submit]") -> None:
    browser.click(button)
    assert not browser.all("[role=alert]:not([hidden])"), browser.text()


def test_an_admin_grants_a_budget_to_a_person(browser: Browser, place: Place):
    with scope(place.acme.tenant):
        budget = Budget.objects.create(scope="tenant", period="total", limit=9)
    browser.sign_in(place.people["admin"])
    browser.open("/console/tenants/grant/add/")
    Select(browser.find("[name=to]")).select_by_visible_text("Member")
    Select(browser.find("[name=object]")).select_by_visible_text("the whole tenant, in all")
    saved(browser)
    assert "Member may view the whole tenant, in all" in browser.text()
    with scope(place.acme.tenant):
        assert Grant.objects.get(object_id=budget.pk).right == "view"


def test_a_policy_manager_changes_the_matrix(browser: Browser, place: Place):
    browser.sign_in(place.people["policy_manager"])
    browser.open(f"/console/policies/policy/{place.draft.pk}/edit/")
    Select(browser.find("[name='action:default']")).select_by_visible_text("surrogate")
    saved(browser, "form[method=post] button.ch-primary")
    with scope(place.acme.tenant):
        newest = Policy.objects.filter(name="careful").order_by("-version")[0]
    assert newest.version == place.draft.version + 1
    assert newest.rules["pii"]["default"] in ("surrogate", {"action": "surrogate"})


def test_a_billing_manager_sets_a_budget(browser: Browser, place: Place):
    browser.sign_in(place.people["billing_manager"])
    browser.open("/console/billing/budget/add/")
    Select(browser.find("[name=aim]")).select_by_visible_text("Legal")
    Select(browser.find("[name=period]")).select_by_visible_text("month")
    browser.find("[name=limit]").send_keys("250")
    browser.click("input[type=submit], button[type=submit][name=_save]")
    assert "$250.00" in browser.text()


def test_an_auditor_places_a_hold(browser: Browser, place: Place):
    browser.sign_in(place.people["auditor"])
    browser.open("/console/audit/hold/add/")
    browser.find("[name=name]").send_keys("Matter 7")
    browser.find("[name=why]").send_keys("a claim")
    saved(browser)
    with scope(place.acme.tenant):
        assert Hold.objects.filter(name="Matter 7").exists()


@pytest.mark.parametrize("role", ["developer", "member"])
def test_whoever_builds_makes_a_key_and_searches(browser: Browser, place: Place, role: str):
    browser.sign_in(place.people[role])
    browser.open("/console/tenants/apikey/add/")
    browser.find("[name=name]").send_keys(f"of a {role}")
    Select(browser.find("[name=department]")).select_by_visible_text("Legal")
    saved(browser)
    assert re.fullmatch(r"sk-ch-[a-z0-9]{12}-[a-z0-9]{32}-[a-z0-9]{6}", browser.find("#ch-secret").text)
    with scope(place.acme.tenant):
        assert ApiKey.objects.get(name=f"of a {role}").role in ("developer", "member")
    browser.open("/console/search/")
    browser.find(".ch-ask [name=q]").send_keys("How long is the notice period?")
    browser.click(".ch-ask button[type=submit]")
    assert "three months" in browser.text()
