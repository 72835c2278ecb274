"""Reconciliations over the API: sent as a file or as text, compared, read as lines and CSV."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from billing import reconciliation
from tests.api.test_attack import call
from tests.conftest import House

ROUTE = "/api/v1/billing/reconciliations"
TEXT = "d,m,c\n2026-01-01,gpt,1.5\n2026-01-02,gpt,2\n"
MAPPING = {"day": "d", "model": "m", "cost": "c"}


def test_a_file_is_sent_compared_and_read(acme: House, globex: House):
    form = {"vendor": "generic", "mapping": json.dumps(MAPPING), "file": SimpleUploadedFile("bill.csv", TEXT.encode())}
    key = acme.keys["billing_manager"]
    answer = Client().post(ROUTE, form, headers={"authorization": f"Bearer {key}"})
    made = answer.json()
    assert (answer.status_code, made["state"], made["file_name"], made["lines"]) == (202, "queued", "bill.csv", None)
    assert (made["first_day"], made["last_day"]) == ("2026-01-01", "2026-01-02")
    place = f"{ROUTE}/{made['id']}"
    assert call("get", f"{place}/lines", key).status_code == 409
    reconciliation.make(acme.id, made["id"])
    shown = call("get", place, acme.keys["auditor"]).json()
    assert shown["summary"]["total"] == {"lines": 2, "vendor_cost": "3.50", "ledger_cost": "0.00"}
    lines = call("get", f"{place}/lines?class=unmatched", key).json()["results"]
    assert [(line["day"], line["vendor"]["cost"]) for line in lines] == [("2026-01-02", "2.00"), ("2026-01-01", "1.50")]
    assert call("get", f"{place}/lines?class=price", key).json()["results"] == []
    assert call("get", f"{place}/download", key).content.decode().startswith("day,model,key,class")
    assert call("get", f"{place}/lines", globex.owner_key).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"vendor": "openai", "csv": "a,b\n1,2\n"},
        {"vendor": "generic", "csv": TEXT},
        {"vendor": "generic"},
        {"vendor": "somebody", "csv": TEXT},
        {"vendor": "generic", "csv": TEXT, "mapping": MAPPING, "tolerance": "-1"},
        {"vendor": "generic", "csv": TEXT, "mapping": "no object"},
    ],
)
def test_what_cannot_be_read_is_refused(acme: House, body: dict[str, Any]):
    assert call("post", ROUTE, acme.owner_key, body).status_code == 400
