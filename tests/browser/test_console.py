"""The console in a real browser: its main tasks, its manners, and nothing from elsewhere."""

from __future__ import annotations

import re
import statistics

import pytest
from django.conf import settings
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from selenium_axe_python import Axe

from audit.models import Event
from tenants import keys
from tenants.isolation import scope
from tenants.models import ApiKey

PAGES = [
    "/console/",
    "/console/playground/",
    "/console/search/",
    "/console/audit/event/?area=calls",
    "/console/audit/event/",
    "/console/audit/erasurerequest/",
    "/console/audit/erasurerequest/add/",
    "/console/audit/hold/",
    "/console/audit/hold/add/",
    "/console/policies/policy/",
    "/console/gateway/model/",
    "/console/gateway/model/add/",
    "/console/gateway/deployment/",
    "/console/gateway/deployment/add/",
    "/console/gateway/provider/",
    "/console/gateway/provider/add/",
    "/console/retrieval/document/",
    "/console/retrieval/collection/",
    "/console/retrieval/collection/add/",
    "/console/tenants/department/",
    "/console/tenants/department/add/",
    "/console/tenants/membership/",
    "/console/tenants/membership/add/",
    "/console/tenants/invitation/",
    "/console/tenants/invitation/add/",
    "/console/tenants/apikey/",
    "/console/tenants/apikey/add/",
    "/console/tenants/grant/",
    "/console/tenants/grant/add/",
    "/console/tenants/identityprovider/",
    "/console/tenants/identityprovider/add/",
    "/console/tenants/identityprovider/add/?protocol=saml",
    "/console/roles/",
    "/console/tenants/groupmapping/",
    "/console/tenants/groupmapping/add/",
    "/console/tenants/groupmapping/key/",
    "/console/account/second-factor/",
    "/console/billing/usage/",
    "/console/billing/budget/",
    "/console/billing/budget/add/",
    "/console/billing/notice/",
    "/console/billing/budgetrequest/",
    "/console/billing/reconciliation/",
    "/console/billing/reconciliation/add/",
    "/console/billing/rerating/",
    "/console/billing/rerating/add/",
    "/console/billing/report/",
    "/console/billing/report/add/",
    "/console/billing/reportschedule/",
    "/console/billing/reportschedule/add/",
    "/console/billing/price/",
    "/console/billing/price/add/",
    "/console/tenants/tenant/",
    "/console/account/second-factor/",
    "/console/password_change/",
]

#: Milliseconds until something was seen of the page.
FIRST_PAINT = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"

#: Controls that a screen reader could not name.
NAMELESS = """
return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea')]
    .filter(element => element.checkVisibility())
    .filter(element => !(element.innerText || '').trim() && !element.getAttribute('aria-label') && !element.title
        && !(element.labels && [...element.labels].some(label => label.innerText.trim())))
    .map(element => element.outerHTML.slice(0, 120))
"""


@pytest.fixture
def console(browser, acme):
    """The browser with Acme's owner signed in."""
    browser.sign_in(acme.email)
    return browser


def test_the_owner_signs_in_and_sees_the_first_steps(console):
    assert console.title == "Overview | Customhouse"
    assert "First steps" in console.text()
    assert "Acme" in console.find(".ch-tenant").text


def test_a_key_is_made_shown_once_and_recorded(console, acme):
    console.open("/console/tenants/apikey/add/")
    console.find("[name=name]").send_keys("contract assistant")
    Select(console.find("[name=department]")).select_by_visible_text("Legal")
    console.find("[name=reason]").send_keys("for the pilot")
    console.click(".ch-form button[type=submit]")
    secret = console.find("#ch-secret").text
    assert re.fullmatch(r"sk-ch-[a-z0-9]{12}-[a-z0-9]{32}-[a-z0-9]{6}", secret)
    with scope(acme.tenant):
        made = ApiKey.objects.get(name="contract assistant")
        event = Event.objects.get(action="api_key.create", object_id=str(made.pk))
    assert bytes(made.digest) == keys.digest(settings.API_KEY_PEPPER, secret)
    assert (event.actor_name, event.reason) == ("Olivia Owner", "for the pilot")

    console.refresh()
    assert "contract assistant" in console.text()
    assert secret not in console.page_source
    with scope(acme.tenant):
        assert ApiKey.objects.filter(name="contract assistant").count() == 1

    console.open(f"/console/audit/event/?object_id={made.pk}")
    console.click("#result_list tbody th a")
    assert "API key created" in console.text()
    assert "Olivia Owner" in console.text()
    assert "for the pilot" in console.text()
    assert secret not in console.page_source


def test_a_key_is_revoked_with_its_effect_said(console, acme):
    console.open(f"/console/tenants/apikey/{acme.key.pk}/change/")
    console.click("a.ch-danger-button")
    assert "It made no call in the last 30 days." in console.text()
    assert "refused within a second" in console.text()
    console.find("[name=reason]").send_keys("left in a log")
    console.click(".ch-form button[type=submit]")
    assert "old key is revoked" in console.text()
    with scope(acme.tenant):
        assert ApiKey.objects.get(pk=acme.key.pk).revoked_at is not None
        reasons = Event.objects.filter(object_id=str(acme.key.pk)).values_list("reason", flat=True)
        assert "left in a log" in reasons


def shut_out(console):
    """What axe-core finds on a page against WCAG 2.1 A and AA and holds for serious."""
    axe = Axe(console)
    axe.inject()
    found = axe.run(options={"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [
        (problem["id"], [node["html"][:160] for node in problem["nodes"]])
        for problem in found["violations"]
        if problem["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (1366, "dark"), (360, "light")])
def test_every_page_is_whole_and_asks_nobody_else(console, width, scheme):
    console.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    console.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    console.errors()
    console.foreign_requests()
    paints = []
    for page in PAGES:
        console.open(page)
        paints.append(console.wait(lambda browser: browser.execute_script(FIRST_PAINT)))
        assert console.errors() == [], page
        assert console.foreign_requests() == [], page
        assert console.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), page
        assert console.execute_script(NAMELESS) == [], page
        dark = "dark" in console.find("html").get_attribute("class").split()
        assert dark is (scheme == "dark"), page
        if width > 600:
            assert shut_out(console) == [], page
    assert statistics.median(paints) < 1000, paints


def test_everything_is_reached_with_the_keyboard(console):
    console.open("/console/tenants/apikey/")
    body = console.find("body")
    body.send_keys("/")
    assert console.switch_to.active_element.get_attribute("id") == "searchbar"
    console.switch_to.active_element.send_keys(Keys.TAB)
    assert console.switch_to.active_element.tag_name == "summary"
    outline = console.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    body.send_keys("?")
    assert console.find("#ch-shortcuts").is_displayed()
    console.find("#ch-shortcuts").send_keys(Keys.ESCAPE)
    before = console.find("html")
    body.send_keys("n")
    console.wait(lambda browser: browser.find("html") != before and browser.ready())
    assert console.current_url.endswith("/console/tenants/apikey/add/")


def test_the_navigation_opens_on_a_narrow_screen(console):
    console.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    console.open("/console/")
    assert not console.find(".ch-nav").is_displayed()
    console.find(".ch-top .ch-icon").click()
    console.wait(lambda browser: browser.find(".ch-nav").is_displayed())
    assert console.find('.ch-nav a[href="/console/tenants/apikey/"]').is_displayed()


def test_times_are_shown_in_the_viewers_zone_with_utc_on_hover(console, acme):
    console.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    console.open("/console/audit/event/")
    time = console.find("time.ch-time")
    shown, utc = time.text, time.get_attribute("title")
    assert utc.endswith(" UTC")
    hours = console.execute_script(
        "return new Date(arguments[0]).getHours() % 12 || 12", time.get_attribute("datetime")
    )
    assert f"{hours}:" in shown
    assert "UTC" not in shown
