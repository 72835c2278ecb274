"""Invitations over the API: made, mailed, sent again, taken back; never above oneself."""

from __future__ import annotations

from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest
from django.utils import timezone

from tenants import invitations, tasks
from tenants.isolation import Scope, scope
from tenants.models import Invitation, User
from tests.api.test_attack import call
from tests.billing.mailbox import Mailbox, mailbox  # noqa: F401  a fixture
from tests.conftest import House

ROUTE = "/api/v1/invitations"


def invite(acme: House, who: str = "admin", **body: Any) -> Any:
    key = acme.owner_key if who == "owner" else acme.keys[who]
    return call("post", ROUTE, key, {"email": f"{token_hex(4)}@new.example", **body})


def row(acme: House, made: dict[str, Any]) -> Invitation:
    with scope(acme.id):
        return Invitation.objects.get(pk=made["id"])


def sent_links(box: Mailbox, email: str) -> list[str]:
    texts = [message.get_content() for to, message in box.messages if to == email]  # type: ignore[attr-defined]
    return [next(line for line in text.splitlines() if "/console/invitation/" in line) for text in texts]


def test_it_is_shown_as_it_was_made(acme: House):
    answer = invite(acme, "owner", email="Dora@New.example", departments=["legal"], clearance="confidential")
    made = answer.json()
    assert answer.status_code == 201
    assert (made["email"], made["role"], made["clearance"]) == ("dora@new.example", "member", "confidential")
    assert (made["departments"], made["state"], made["accepted_at"]) == (["legal"], "open", None)
    shown = call("get", f"{ROUTE}/{made['id']}", acme.keys["admin"])
    assert shown.json() == {name: value for name, value in made.items() if name != "link"}
    assert shown["etag"] == answer["etag"]


def test_of_the_link_a_keyed_hash_is_kept_and_shown_once_where_no_mail_is_sent(acme: House):
    made = invite(acme).json()
    token = made["link"].removeprefix("http://testserver/console/invitation/").rstrip("/")
    kept = row(acme, made)
    assert kept.digest == invitations.digest(token)
    assert token not in str(vars(kept))
    assert "link" not in call("get", f"{ROUTE}/{made['id']}", acme.keys["admin"]).json()


def test_a_mail_brings_the_link_which_is_in_no_answer(acme: House, mailbox: Mailbox):  # noqa: F811
    made = invite(acme).json()
    assert "link" not in made
    assert row(acme, made).digest is None
    assert invitations.send(acme.id, row(acme, made).pk)
    [link] = sent_links(mailbox, made["email"])
    kept = row(acme, made)
    assert kept.digest == invitations.digest(link.rsplit("/", 2)[1])
    assert (kept.next_at, kept.sent_at is not None, invitations.state(kept)) == (None, True, "open")
    assert not invitations.send(acme.id, kept.pk)
    assert len(mailbox.messages) == 1


def test_a_mail_that_was_refused_is_tried_again_with_a_new_link(acme: House, mailbox: Mailbox):  # noqa: F811
    made = invite(acme).json()
    mailbox.refuses = True
    tasks.send_invitation(str(acme.id), made["id"])
    first = row(acme, made)
    assert "SMTPRecipientsRefused" in first.error
    assert first.next_at is not None
    mailbox.refuses = False
    with scope(acme.id):
        Invitation.objects.filter(pk=first.pk).update(next_at=timezone.now())
    assert invitations.waiting(acme.id) == [first.pk]
    tasks.send_invitation(str(acme.id), made["id"])
    second = row(acme, made)
    assert (second.error, second.next_at) == ("", None)
    assert second.digest != first.digest


def test_what_no_server_ever_took_is_told(acme: House, mailbox: Mailbox):  # noqa: F811
    made = invite(acme).json()
    with scope(acme.id):
        Invitation.objects.filter(pk=made["id"]).update(attempts=len(invitations.WAITS))
    mailbox.refuses = True
    invitations.send(acme.id, row(acme, made).pk)
    assert call("get", f"{ROUTE}/{made['id']}", acme.keys["admin"]).json()["state"] == "unsent"


def test_sent_again_the_link_before_ends(acme: House):
    made = invite(acme).json()
    again = call("post", f"{ROUTE}/{made['id']}/resend", acme.keys["admin"])
    assert again.status_code == 200
    assert again.json()["link"] != made["link"]
    old = invitations.digest(made["link"].rsplit("/", 2)[1])
    assert invitations.presented(old) is None
    assert invitations.presented(invitations.digest(again.json()["link"].rsplit("/", 2)[1])) is not None


def test_nobodys_mailbox_is_filled(acme: House):
    made = invite(acme).json()
    with scope(acme.id):
        Invitation.objects.filter(pk=made["id"]).update(sent_at=timezone.now())
    answer = call("post", f"{ROUTE}/{made['id']}/resend", acme.keys["admin"])
    assert (answer.status_code, "Wait a minute" in answer.json()["detail"]) == (409, True)


def test_taken_back_its_link_ends(acme: House):
    made = invite(acme).json()
    assert call("delete", f"{ROUTE}/{made['id']}", acme.keys["admin"]).status_code == 204
    assert invitations.presented(invitations.digest(made["link"].rsplit("/", 2)[1])) is None
    assert call("get", f"{ROUTE}/{made['id']}", acme.keys["admin"]).status_code == 404
    events = call("get", "/api/v1/audit/events?action=invitation.", acme.owner_key).json()["results"]
    assert [event["action"] for event in events if event["object"]["id"] == made["id"]] == [
        "invitation.delete",
        "invitation.create",
    ]
    assert "digest" not in str(events)


def test_nobody_invites_above_themselves(acme: House):
    assert invite(acme, "admin", role="owner").status_code == 403
    made = invite(acme, "owner", role="owner").json()
    for method, path in (("post", "/resend"), ("delete", "")):
        assert call(method, f"{ROUTE}/{made['id']}{path}", acme.keys["admin"]).status_code == 403
    assert call("post", f"{ROUTE}/{made['id']}/resend", acme.owner_key).status_code == 200


def test_an_address_is_invited_once_until_that_has_expired(acme: House):
    made = invite(acme).json()
    assert invite(acme, email=made["email"].upper()).status_code == 409
    with scope(acme.id):
        Invitation.objects.filter(pk=made["id"]).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert call("get", f"{ROUTE}/{made['id']}", acme.keys["admin"]).json()["state"] == "expired"
    assert invite(acme, email=made["email"]).status_code == 201


def test_an_answer_does_not_tell_whether_an_address_has_an_account(acme: House, globex: House):
    with scope(globex.id):
        charlie = User.objects.create_user(f"{token_hex(4)}@globex.example", "Charlie", "a long enough password")
    known, unknown = invite(acme, email=charlie.email), invite(acme)
    assert known.status_code == unknown.status_code == 201
    varying = {"id", "email", "created_at", "expires_at", "link"}
    same = [{name: value for name, value in one.json().items() if name not in varying} for one in (known, unknown)]
    assert same[0] == same[1]


def test_who_belongs_here_is_invited_only_to_choose_a_first_password(acme: House):
    made = call(
        "post", "/api/v1/users", acme.owner_key, {"email": f"{token_hex(4)}@acme.example", "name": "Eve"}
    ).json()
    assert invite(acme, email=made["email"], role="admin").json()["role"] == "member"
    with scope(Scope(user=made["id"])):
        person = User.objects.get(pk=made["id"])
        person.set_password("a long enough password")
        person.save(update_fields=["password"])
    with scope(acme.id):
        Invitation.objects.filter(email=made["email"]).delete()
    assert invite(acme, email=made["email"]).status_code == 409


def test_the_list_is_narrowed(acme: House):
    made = invite(acme).json()
    found = call("get", f"{ROUTE}?accepted=false&search={made['email']}", acme.keys["admin"]).json()["results"]
    assert [one["id"] for one in found] == [made["id"]]
    assert call("get", f"{ROUTE}?accepted=true", acme.keys["admin"]).json()["results"] == []


@pytest.mark.parametrize("wrong", [{"email": "x"}, {"role": "king"}, {"departments": ["nowhere"]}, {"colour": "red"}])
def test_what_is_wrong_is_named(acme: House, wrong: dict[str, Any]):
    answer = invite(acme, **wrong)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, next(iter(wrong)))
