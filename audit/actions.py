"""The vocabulary: everything that an audit event can say happened, each with a sentence for people."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What happened. Changes of objects are not listed one by one: `<object>.<verb>` of OBJECTS and CHANGES."""

    CALL_INTENT = "call.intent"
    CALL_OUTCOME = "call.outcome"
    CALL_REFUSED = "call.refused"
    SESSION_OPEN = "session.open"
    SESSION_CLOSE = "session.close"
    SESSION_REFUSED = "session.refused"
    INVITATION_ACCEPT = "invitation.accept"
    TENANT_OPEN = "tenant.open"
    EVENT_READ = "event.read"
    EVENT_EXPORT = "event.export"
    EXPORT_READ = "export.read"
    RECEIPT_READ = "receipt.read"
    TRAIL_CHECK = "trail.check"
    TRAIL_ALERT = "trail.alert"
    USAGE_READ = "usage.read"
    USAGE_ALERT = "usage.alert"
    BUDGET_WARN = "budget.warn"
    BUDGET_REFUSE = "budget.refuse"
    REPORT_MAKE = "report.make"
    REPORT_READY = "report.ready"
    REPORT_READ = "report.read"
    DOCUMENT_READY = "document.ready"
    DOCUMENT_FAIL = "document.fail"
    DOCUMENT_READ = "document.read"
    DOCUMENT_SEARCH = "document.search"
    DOCUMENT_SEARCH_AS = "document.search_as"
    PASSWORD_ASK = "password.ask"  # noqa: S105
    PASSWORD_RESET = "password.reset"  # noqa: S105
    TEXT_REDACT = "text.redact"
    TEXT_RESTORE = "text.restore"
    VAULT_REVEAL = "vault.reveal"
    RESPONSE_READ = "response.read"
    RESPONSE_DELETE = "response.delete"
    BODY_READ = "body.read"
    BODY_REVEAL = "body.reveal"
    ERASURE_EXECUTE = "erasure_request.execute"
    CERTIFICATE_READ = "certificate.read"
    POLICY_ACTIVATE = "policy.activate"
    POLICY_SIMULATE = "policy.simulate"
    KEY_ROTATE = "api_key.rotate"
    KEY_REVOKE = "api_key.revoke"


SENTENCES: dict[Action, str] = {
    Action.CALL_INTENT: "A call was about to leave the house; its worst case was reserved.",
    Action.CALL_OUTCOME: "A call ended; what it used was charged.",
    Action.CALL_REFUSED: "A call was turned away; nothing left the house.",
    Action.SESSION_OPEN: "Somebody signed in.",
    Action.SESSION_CLOSE: "Somebody signed out.",
    Action.SESSION_REFUSED: "Somebody failed to sign in.",
    Action.INVITATION_ACCEPT: "Somebody accepted an invitation.",
    Action.TENANT_OPEN: "Somebody opened this tenant in the console.",
    Action.EVENT_READ: "The audit trail was read.",
    Action.EVENT_EXPORT: "The audit trail was exported.",
    Action.EXPORT_READ: "An export of the audit trail was downloaded.",
    Action.RECEIPT_READ: "A request's receipt was read.",
    Action.TRAIL_CHECK: "The trail was compared with itself and the ledger; nothing is missing.",
    Action.TRAIL_ALERT: "Something is missing in the trail or the ledger.",
    Action.USAGE_READ: "Usage and cost were read.",
    Action.USAGE_ALERT: "A day's spending or refusals are far from the usual.",
    Action.BUDGET_WARN: "A budget passed one of its thresholds.",
    Action.BUDGET_REFUSE: "A budget refused a call, for the first time in its period.",
    Action.REPORT_MAKE: "A report was asked for.",
    Action.REPORT_READY: "A report is ready to be downloaded.",
    Action.REPORT_READ: "A report was downloaded.",
    Action.DOCUMENT_READY: "A document has been read in, and answers.",
    Action.DOCUMENT_FAIL: "A document could not be read in.",
    Action.DOCUMENT_READ: "A document was read.",
    Action.DOCUMENT_SEARCH: "Documents were searched.",
    Action.DOCUMENT_SEARCH_AS: "Documents were searched as somebody else sees them.",
    Action.PASSWORD_ASK: "A link for a forgotten password was asked for.",
    Action.PASSWORD_RESET: "A forgotten password was replaced by a new one.",
    Action.TEXT_REDACT: "Personal data was replaced in a text.",
    Action.TEXT_RESTORE: "Placeholders in a text were restored.",
    Action.VAULT_REVEAL: "An original behind a placeholder was revealed.",
    Action.RESPONSE_READ: "A kept answer was read.",
    Action.RESPONSE_DELETE: "A kept answer was removed.",
    Action.BODY_READ: "A call's kept prompt and answer were read as they went out, masked.",
    Action.BODY_REVEAL: "A call's kept prompt and answer were read with their originals.",
    Action.ERASURE_EXECUTE: "What was kept of a person was removed.",
    Action.CERTIFICATE_READ: "The certificate of an erasure was read.",
    Action.POLICY_ACTIVATE: "A policy was put in force.",
    Action.POLICY_SIMULATE: "A policy was tried on text or past traffic.",
    Action.KEY_ROTATE: "An API key was replaced by a new one.",
    Action.KEY_REVOKE: "An API key was revoked.",
}

#: objects whose every change is recorded by the database, as they read in a sentence
OBJECTS: dict[str, str] = {
    "tenant": "The tenant",
    "department": "A department",
    "user": "A person",
    "second_factor": "A person's second factor",
    "passkey": "A person's passkey",
    "membership": "A person's membership",
    "membership_department": "A person's place in a department",
    "invitation": "An invitation",
    "api_key": "An API key",
    "api_key_department": "A department that an API key may search",
    "grant": "A grant",
    "webhook": "A webhook",
    "identity_provider": "An identity provider",
    "scim_user": "A person as the identity provider tells of them",
    "scim_group": "A group of the identity provider",
    "scim_member": "A person's place in a group of the identity provider",
    "group_mapping": "What a group of the identity provider gives",
    "identity": "A person's identity at a provider",
    "person_permission": "A person's permission",
    "group_permission": "A group's permission",
    "price": "A price",
    "budget": "A budget",
    "budget_request": "A request for more budget",
    "discount": "A discount",
    "exchange_rate": "An exchange rate",
    "report_schedule": "A schedule of reports",
    "rerating": "A re-rating of a period",
    "reconciliation": "A reconciliation with a vendor's export",
    "policy": "A policy",
    "provider": "A provider",
    "deployment": "A deployment",
    "model": "A model",
    "route": "A model's route to a deployment",
    "collection": "A collection",
    "document": "A document",
    "feedback": "Feedback on a passage",
    "seal_key": "A key that signs seals",
    "hold": "A legal hold",
    "erasure_request": "A request to forget a person",
}

CHANGES: dict[str, str] = {"create": "was created", "update": "was changed", "delete": "was removed"}


def sentence(action: str) -> str:
    """What an action means, for people; an action outside the vocabulary is a KeyError."""
    found = SENTENCES.get(action)  # type: ignore[call-overload]
    if found is not None:
        return str(found)
    thing, _, verb = action.partition(".")
    return f"{OBJECTS[thing]} {CHANGES[verb]}."


def known(action: str) -> bool:
    """Whether an action belongs to the vocabulary."""
    thing, _, verb = action.partition(".")
    return action in SENTENCES or (thing in OBJECTS and verb in CHANGES)
