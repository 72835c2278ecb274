"""The playground in a real browser, before a real gateway: a prompt is tried, and what happened can be looked at."""

from __future__ import annotations

from secrets import token_hex

import pytest
from selenium.webdriver.support.ui import Select

from policies.models import Policy, PolicyScope
from retrieval.services import Upload, create_collection, ingest_now
from tenants.isolation import scope
from tenants.services import add_person
from tests.browser.conftest import PASSWORD, Browser
from tests.dataplane.conftest import Gateway, gateway, server, vendor  # noqa: F401 - fixtures


@pytest.fixture
def page(browser: Browser, gateway: Gateway) -> Browser:  # noqa: F811
    """The playground of somebody who manages policies and documents."""
    email = f"olga-{token_hex(4)}@acme.example"
    with scope(gateway.acme.id):
        add_person(email, "Olga", "owner", 3, [gateway.acme.departments["legal"]], PASSWORD)
    assert gateway["echo"]
    browser.base = gateway.root
    browser.sign_in(email)
    browser.open("/console/playground/")
    return browser


def send(page: Browser, text: str) -> None:
    """Tries a prompt and waits for its end."""
    prompt = page.find("[name=prompt]")
    prompt.clear()
    prompt.send_keys(text)
    page.find("#ch-play button[type=submit]").click()
    page.wait(lambda page: page.find("#play-facts-card").is_displayed() and not page.find("#play-stop").is_displayed())


def test_what_leaves_is_coloured_and_the_answer_is_whole(page: Browser, gateway: Gateway):  # noqa: F811
    Select(page.find("[name=model]")).select_by_visible_text(gateway["echo"])
    send(page, "Write to ann.keller@example.com about the lease.")
    mark = page.find("#play-sent mark")
    assert mark.text.startswith("[EMAIL_ADDRESS_")
    assert mark.get_attribute("title").startswith("EMAIL_ADDRESS, score ")
    assert "ann.keller" not in page.find("#play-sent").text
    assert "Write to ann.keller@example.com about the lease." in page.find("#play-answer").text
    steps = page.find("#play-steps").text
    assert "record" in steps
    assert "model" in steps
    assert page.errors() == []
    assert page.foreign_requests() == []
    link = page.find("#play-told a.ch-link")
    page.open(link.get_attribute("href").removeprefix(page.base))
    assert "Call finished" in page.text() or gateway["echo"] in page.text()


def test_marks_lead_to_what_they_cite(page: Browser, gateway: Gateway):  # noqa: F811
    with scope(gateway.acme.id):
        create_collection("leases-seen")
        rent = "The monthly rent of the Bremen warehouse is 9,800 euros."
        ingest_now(Upload(collection="leases-seen", title="Lease of Bremen", external_id="bremen", text=rent))
    page.refresh()
    Select(page.find("[name=model]")).select_by_visible_text("local-extractive")
    page.find("[name=collection][value=leases-seen]").click()
    send(page, "What is the monthly rent of the Bremen warehouse?")
    mark = page.find("#play-answer a")
    mark.click()
    cited = page.find(page.execute_script("return location.hash"))
    assert "Lease of Bremen" in cited.text
    assert "Lease of Bremen" in page.find("#play-passages summary").text
    assert "9,800 euros" in page.find("#play-passages").get_attribute("textContent")


def test_with_a_draft_nothing_is_sent(page: Browser, gateway: Gateway, vendor):  # noqa: F811
    rules = {"pii": {"EMAIL_ADDRESS": "block"}}
    with scope(gateway.acme.id):
        draft = Policy.objects.create(name="strict", version=1, scope=PolicyScope.TENANT, rules=rules)
    page.refresh()
    Select(page.find("[name=model]")).select_by_visible_text(gateway["echo"])
    Select(page.find("[name=policy]")).select_by_value(str(draft.pk))
    before = len(vendor.inbox)
    send(page, "Call Ann Keller today.")
    assert "Nothing was sent" in page.find("#play-answer").text
    assert page.find("#play-sent mark").text.startswith("[PERSON_")
    send(page, "Write to ann.keller@example.com.")
    assert "The draft would refuse this call" in page.find("#play-problem").text
    assert len(vendor.inbox) == before
