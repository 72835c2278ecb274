"""Tenants, departments, people and keys on the outside."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.urls import reverse
from django.utils.functional import cached_property
from rest_framework import serializers

from . import invitations, references
from .addresses import unsafe_address
from .api.fields import Clearance, MaybeClearance, Reference, Strict
from .errors import MetadataUnreadable
from .identity import MOST_VALUES, ROLE_CHOICES, unsafe_issuer, unsafe_page
from .isolation.scope import CLEARANCES
from .keys import PREFIX
from .models import (
    GRANTED,
    USED,
    ApiKey,
    ApiKeyDepartment,
    Department,
    Grant,
    GroupMapping,
    IdentityProvider,
    Invitation,
    Membership,
    Protocol,
    Tenant,
    User,
    Webhook,
    WebhookDelivery,
)
from .roles import Role, rights_of
from .saml import certificates, described
from .tokens import ALGORITHMS, MOST_SKEW


class TenantSerializer(Strict, serializers.ModelSerializer[Tenant]):
    sometimes = ("owner_key",)

    slug = serializers.SlugField(max_length=Tenant._meta.get_field("slug").max_length)  # a taken one is a conflict
    owner_key = serializers.CharField(read_only=True, required=False, help_text="Shown once, at creation.")

    class Meta:
        model = Tenant
        fields = ("id", "slug", "name", "rpm", "tpm", "four_eyes", "require_second_factor", "created_at", "owner_key")
        read_only_fields = ("id", "created_at")


class DepartmentSerializer(Strict, serializers.ModelSerializer[Department]):
    class Meta:
        model = Department
        fields = ("id", "slug", "name")
        read_only_fields = ("id",)


class UserSerializer(Strict, serializers.ModelSerializer[User]):
    email = serializers.EmailField()
    name = serializers.CharField(max_length=200, required=False, default="")

    class Meta:
        model = User
        fields = ("id", "email", "name", "is_active", "second_factor_at", "created_at")
        read_only_fields = ("id", "is_active", "second_factor_at", "created_at")


class MembershipSerializer(Strict, serializers.ModelSerializer[Membership]):
    user = Reference(User, by="email")
    role = serializers.ChoiceField(choices=Role.choices)
    clearance = Clearance(default=1)
    departments = serializers.ListField(child=Reference(Department, by="slug"), required=False, default=list)

    class Meta:
        model = Membership
        fields = ("id", "user", "role", "departments", "clearance", "agreed", "created_at")
        read_only_fields = ("id", "agreed", "created_at")

    def to_representation(self, instance: Membership) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "user": str(instance.user_id),
            "email": instance.user.email,
            "name": instance.user.name,
            "role": instance.role,
            "clearance": Clearance().to_representation(instance.clearance),
            "departments": [department.slug for department in instance.departments.all()],
            "agreed": instance.agreed,
            "created_at": serializers.DateTimeField().to_representation(instance.created_at),
        }


class InvitationSerializer(Strict, serializers.ModelSerializer[Invitation]):
    """`state` is `open`, `accepted`, `expired`, or `unsent` when no mail server took the mail (`error` says why).
    `link` is shown once, and only where the installation sends no mail.
    """

    sometimes = ("link",)

    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)
    clearance = Clearance(default=1)
    departments = serializers.ListField(child=Reference(Department, by="slug"), required=False, default=list)
    state = serializers.ChoiceField(choices=["open", "accepted", "expired", "unsent"], read_only=True)
    link = serializers.CharField(read_only=True, required=False, help_text="Shown once, where no mail is sent.")

    class Meta:
        model = Invitation
        fields = (
            "id",
            "email",
            "role",
            "departments",
            "clearance",
            "state",
            "error",
            "created_at",
            "sent_at",
            "expires_at",
            "accepted_at",
            "link",
        )
        read_only_fields = ("id", "error", "created_at", "sent_at", "expires_at", "accepted_at")

    @cached_property
    def _slugs(self) -> dict[UUID, str]:
        return dict(Department.objects.values_list("pk", "slug"))

    def to_representation(self, instance: Invitation) -> dict[str, Any]:
        moment = serializers.DateTimeField().to_representation
        times = {name: getattr(instance, name) for name in ("created_at", "sent_at", "expires_at", "accepted_at")}
        return {
            "id": str(instance.pk),
            "email": instance.email,
            "role": instance.role,
            "departments": [self._slugs[place] for place in instance.departments if place in self._slugs],
            "clearance": Clearance().to_representation(instance.clearance),
            "state": invitations.state(instance),
            "error": instance.error,
            **{name: moment(value) if value else None for name, value in times.items()},
        }


class LimitsSerializer(Strict):
    rpm = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    tpm = serializers.IntegerField(min_value=1, required=False, allow_null=True)


class ApiKeySerializer(Strict, serializers.ModelSerializer[ApiKey]):
    """`key` is shown once, at creation and rotation."""

    shown = ("prefix", "user", "revoked_at", "created_at", "key")

    department = Reference(Department, by="slug", required=False, allow_null=True)
    departments = serializers.ListField(child=Reference(Department, by="slug"), required=False, default=list)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.DEVELOPER)
    clearance = Clearance(default=1)
    scopes = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True)
    models = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True, source="model_names")
    limits = LimitsSerializer(required=False, allow_null=True)
    ip_allow = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "name",
            "department",
            "departments",
            "role",
            "clearance",
            "scopes",
            "models",
            "limits",
            "ip_allow",
            "expires_at",
        )
        read_only_fields = ("id",)

    def validate_ip_allow(self, value: list[str] | None) -> list[str] | None:
        for network in value or ():
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise serializers.ValidationError(f"{network!r} is no network address.") from None
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        role = attrs.get("role") or (self.instance.role if self.instance else Role.DEVELOPER)
        unknown = sorted(set(attrs.get("scopes") or ()) - rights_of(role))
        if unknown:
            raise serializers.ValidationError({"scopes": f"{unknown[0]!r} is no right of the role {role}."})
        return attrs

    def to_representation(self, instance: ApiKey) -> dict[str, Any]:
        moment = serializers.DateTimeField().to_representation
        return {
            "id": str(instance.pk),
            "name": instance.name,
            "prefix": PREFIX + instance.public_id,
            "department": instance.department.slug if instance.department else None,
            "departments": [row.department.slug for row in self._further(instance)],
            "user": str(instance.user_id) if instance.user_id else None,
            "role": instance.role,
            "clearance": Clearance().to_representation(instance.clearance),
            "scopes": instance.scopes,
            "models": instance.model_names,
            "limits": {"rpm": instance.rpm, "tpm": instance.tpm},
            "ip_allow": instance.ip_allow,
            "expires_at": moment(instance.expires_at) if instance.expires_at else None,
            "revoked_at": moment(instance.revoked_at) if instance.revoked_at else None,
            "created_at": moment(instance.created_at),
        }

    def _further(self, instance: ApiKey) -> list[ApiKeyDepartment]:
        rows: dict[Any, list[ApiKeyDepartment]] | None = self.context.get("further")
        if rows is None:
            return list(ApiKeyDepartment.objects.filter(key=instance).select_related("department"))
        return rows.get(instance.pk, [])


class Which(Strict):
    """One object or principal, by its kind and its id or name."""

    type = serializers.CharField()
    id = serializers.CharField()


class GrantSerializer(Strict, serializers.ModelSerializer[Grant]):
    """A right on one object for somebody, or, with `deny`, its denial."""

    object = Which()
    to = Which()
    right = serializers.ChoiceField(choices=["use", "view", "change"])
    deny = serializers.BooleanField(default=False)

    class Meta:
        model = Grant
        fields = ("id", "object", "to", "right", "deny", "created_at")
        read_only_fields = ("id", "created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        kind = attrs["object"][0]
        if attrs["right"] == "use" and kind not in USED:
            raise serializers.ValidationError({"right": f"A {kind} is viewed or changed; nobody uses one."})
        return attrs

    def validate_object(self, value: dict[str, str]) -> tuple[str, UUID]:
        return self._found(value, GRANTED)

    def validate_to(self, value: dict[str, str]) -> tuple[str, UUID]:
        return self._found(value, ("user", "department", "key"))

    def _found(self, value: dict[str, str], kinds: tuple[str, ...]) -> tuple[str, UUID]:
        if value["type"] not in kinds:
            raise serializers.ValidationError({"type": "Must be one of " + ", ".join(kinds) + "."})
        try:
            return value["type"], references.resolve(value["type"], value["id"])
        except ObjectDoesNotExist as error:
            raise serializers.ValidationError({"id": str(error)}) from error

    def to_representation(self, instance: Grant) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "object": {"type": instance.object_type, "id": str(instance.object_id)},
            "to": {"type": instance.to_type, "id": str(instance.to_id)},
            "right": instance.right,
            "deny": instance.deny,
            "created_at": serializers.DateTimeField().to_representation(instance.created_at),
        }


class WebhookSerializer(Strict, serializers.ModelSerializer[Webhook]):
    """`events` are actions of the audit trail (`policy.activate`), all of an object (`policy.*`), or all (`*`).
    `secret` is shown once, at creation.
    """

    url = serializers.CharField(max_length=500)
    events = serializers.ListField(child=serializers.RegexField(r"^(\*|[a-z_]+\.(\*|[a-z_]+))$"), allow_empty=False)
    secret = serializers.CharField(required=False, min_length=16, max_length=200)
    active = serializers.BooleanField(default=True)

    class Meta:
        model = Webhook
        fields = ("id", "url", "events", "secret", "active", "created_at")
        read_only_fields = ("id", "created_at")

    def validate_url(self, value: str) -> str:
        problem = unsafe_address(value)
        if problem:
            raise serializers.ValidationError(problem)
        return value


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = (
            "id",
            "event_id",
            "action",
            "state",
            "attempts",
            "status",
            "error",
            "created_at",
            "tried_at",
            "next_at",
        )
        read_only_fields = fields


class RotationSerializer(Strict):
    grace_seconds = serializers.IntegerField(min_value=0, max_value=30 * 86_400, default=0)


class Mapped(serializers.DictField):
    """What a claim's values stand for, as `{"value": "word"}`."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().to_internal_value(data)
        if len(found) > MOST_VALUES:
            raise serializers.ValidationError(f"At most {MOST_VALUES} values.")
        return found


class IdentityProviderSerializer(Strict, serializers.ModelSerializer[IdentityProvider]):
    """Without `jwks_url` the keys are found by discovery. `departments`, `roles` and `clearances` say what the values
    of their claims stand for (the first department that a token gives pays); `department`, `role` and `clearance` hold
    where none of them does. Nobody becomes an owner by a claim. `limits` hold for each person.

    With `sign_in` people also sign in to the console with it, by `client_id` and `client_secret` (never shown; without
    one we are a public client), on the page `sign_in_url`; the provider sends them back to `redirect_uri`. They are
    members, invited, or with `makes_members` made members on the spot, as the tables say.

    With the `protocol` `saml` it issues no tokens and signs people in alone: `issuer` is its entity id, `audience` ours
    (as a rule the `redirect_uri`), `sso_url` and `certificates` say where it is asked and what it signs with. Its
    `metadata` (XML), sent in their place, holds all three. It cannot be changed into one of the other protocol.
    """

    name = serializers.CharField(max_length=200)
    issuer = serializers.CharField(max_length=500, required=False)
    audience = serializers.CharField(max_length=300, required=False)
    sso_url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    certificates = serializers.CharField(
        max_length=40_000, required=False, allow_blank=True, help_text="PEM, one after another."
    )
    metadata = serializers.CharField(max_length=250_000, required=False, write_only=True, help_text="SAML, as XML.")
    jwks_url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    algorithms = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(ALGORITHMS)), allow_empty=False, default=["RS256"]
    )
    user_claim = serializers.CharField(max_length=200, default="sub")
    department = Reference(Department, by="slug", required=False, allow_null=True)
    departments = Mapped(child=Reference(Department, by="slug"), required=False)
    role = serializers.ChoiceField(choices=ROLE_CHOICES, required=False, allow_blank=True)
    roles = Mapped(child=serializers.ChoiceField(choices=ROLE_CHOICES), required=False)
    clearance = Clearance(default=1)
    clearances = Mapped(child=Clearance(), required=False)
    limits = LimitsSerializer(required=False, allow_null=True)
    clock_skew = serializers.IntegerField(min_value=0, max_value=MOST_SKEW, default=60, help_text="Seconds.")
    client_id = serializers.CharField(max_length=300, required=False, allow_blank=True)
    client_secret = serializers.CharField(max_length=500, required=False, allow_blank=True, write_only=True)
    scopes = serializers.RegexField(r"^openid( [!-~]+)*$", max_length=300, default="openid email profile")
    redirect_uri = serializers.CharField(read_only=True)
    sign_in_url = serializers.CharField(read_only=True)

    class Meta:
        model = IdentityProvider
        fields = (
            "id",
            "protocol",
            "name",
            "issuer",
            "audience",
            "sso_url",
            "certificates",
            "metadata",
            "jwks_url",
            "algorithms",
            "user_claim",
            "email_trusted",
            "members_only",
            "department_claim",
            "departments",
            "department",
            "role_claim",
            "roles",
            "role",
            "clearance_claim",
            "clearances",
            "clearance",
            "limits",
            "clock_skew",
            "active",
            "sign_in",
            "makes_members",
            "client_id",
            "client_secret",
            "scopes",
            "redirect_uri",
            "sign_in_url",
            "created_at",
        )
        read_only_fields = ("id", "created_at")

    def get_validators(self) -> list[Any]:
        """None: what is taken is a conflict, which the database tells."""
        return []

    def validate_jwks_url(self, value: str) -> str:
        return self._safe(value) if value else ""

    def _safe(self, value: str) -> str:
        problem = unsafe_issuer(value)
        if problem:
            raise serializers.ValidationError(problem)
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values of the row's columns."""
        if "limits" in attrs:
            limits = attrs.pop("limits") or {}
            attrs |= {"rpm": limits.get("rpm"), "tpm": limits.get("tpm")}
        if "departments" in attrs:
            attrs["departments"] = [[value, str(place.pk)] for value, place in attrs["departments"].items()]
        for claim, table in (
            ("department_claim", "departments"),
            ("role_claim", "roles"),
            ("clearance_claim", "clearances"),
        ):
            before = self.instance
            named = attrs.get(claim, getattr(before, claim, ""))
            if attrs.get(table, getattr(before, table, {})) and not named:
                raise serializers.ValidationError({claim: f"Say which claim's values {table} are of."})
        speaks = getattr(self.instance, "protocol", attrs.get("protocol", Protocol.OIDC))
        if attrs.get("protocol", speaks) != speaks:
            raise serializers.ValidationError({"protocol": "It stays what it is: register another provider."})
        return attrs | (self._saml(attrs) if speaks == Protocol.SAML else self._oidc(attrs))

    def _oidc(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("sso_url", "certificates", "metadata"):
            if attrs.get(name):
                raise serializers.ValidationError({name: "Only a provider of the protocol saml has it."})
        self._are_said(attrs, "issuer", "audience")
        if "issuer" in attrs:
            try:
                self._safe(attrs["issuer"])
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"issuer": error.detail}) from error
        wanted = {name: attrs.get(name, getattr(self.instance, name, "")) for name in ("sign_in", "client_id")}
        if wanted["sign_in"] and not wanted["client_id"]:
            raise serializers.ValidationError({"client_id": "Signing in needs a client at the provider: say its id."})
        return {}

    def _saml(self, attrs: dict[str, Any]) -> dict[str, Any]:
        told, name = {}, "metadata"
        try:
            if attrs.get("metadata"):
                told = described(attrs["metadata"])
            name = "certificates"
            if attrs.get("certificates"):
                told["certificates"] = certificates(attrs["certificates"])
        except MetadataUnreadable as error:
            raise serializers.ValidationError({name: str(error)}) from error
        attrs.pop("metadata", None)
        found = attrs | told
        self._are_said(found, "issuer", "sso_url", "certificates")
        if "sso_url" in found and (problem := unsafe_page(found["sso_url"])):
            raise serializers.ValidationError({"sso_url": problem})
        return told if self.instance or "audience" in found else told | {"audience": self._address("saml_back")}

    def _are_said(self, attrs: dict[str, Any], *names: str) -> None:
        for name in names:
            if not attrs.get(name, getattr(self.instance, name, "")):
                raise serializers.ValidationError({name: "This field is required."})

    @cached_property
    def _slugs(self) -> dict[str, str]:
        return {str(place): slug for place, slug in Department.objects.values_list("pk", "slug")}

    def to_representation(self, instance: IdentityProvider) -> dict[str, Any]:
        slugs = self._slugs
        plain = {name: getattr(instance, name) for name in self.Meta.fields if hasattr(instance, name)}
        return plain | {
            "id": str(instance.pk),
            "department": slugs.get(str(instance.department_id)),
            "departments": {value: slugs[place] for value, place in instance.departments if place in slugs},
            "clearance": CLEARANCES[instance.clearance],
            "clearances": {value: CLEARANCES[step] for value, step in instance.clearances.items()},
            "limits": {"rpm": instance.rpm, "tpm": instance.tpm},
            "redirect_uri": self._address("saml_back")
            if instance.protocol == Protocol.SAML
            else self._address("provider_back", instance.pk),
            "sign_in_url": self._address("sign_in_of"),
            "created_at": serializers.DateTimeField().to_representation(instance.created_at),
        }

    def _address(self, page: str, *more: Any) -> str:
        """An address of the console's, under which the tenant's people sign in."""
        slug = self.context["view"].caller.tenant_slug
        return str(self.context["request"].build_absolute_uri(reverse(f"admin:{page}", args=[slug, *more])))


class RoleSerializer(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=Role.choices)
    rights = serializers.ListField(child=serializers.CharField())
    gives = serializers.ListField(child=serializers.CharField(), help_text="Roles that it may hand out.")
    people = serializers.IntegerField(allow_null=True)


class TokenCheckSerializer(Strict):
    token = serializers.CharField(required=False, allow_blank=True, default="", help_text="Is not kept.")


class TriedCallerSerializer(serializers.Serializer[Any]):
    subject = serializers.CharField()
    name = serializers.CharField()
    member = serializers.UUIDField(allow_null=True)
    role = serializers.CharField()
    clearance = Clearance()
    department = serializers.CharField()
    departments = serializers.ListField(child=serializers.CharField())


class CheckedSerializer(serializers.Serializer[Any]):
    """`keys` are those that fit the algorithms; `caller` is whom the token would let in."""

    ok = serializers.BooleanField()
    problem = serializers.CharField()
    keys = serializers.IntegerField()
    caller = TriedCallerSerializer(allow_null=True)


class GroupMappingSerializer(Strict, serializers.ModelSerializer[GroupMapping]):
    """What members of a group of the identity provider (SCIM) get. Nobody becomes an owner by a group."""

    group = serializers.CharField(max_length=255, help_text="The group's displayName; capitals do not count.")
    department = Reference(Department, by="slug", required=False, allow_null=True, default=None)
    role = serializers.ChoiceField(choices=ROLE_CHOICES, required=False, allow_blank=True, default="")
    clearance = MaybeClearance(required=False, allow_null=True, default=None)

    class Meta:
        model = GroupMapping
        fields = ("id", "group", "department", "role", "clearance", "created_at")
        read_only_fields = ("id", "created_at")

    def get_validators(self) -> list[Any]:
        """None: what is taken is a conflict, which the database tells."""
        return []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        before = self.instance
        given = [attrs.get(name, getattr(before, name, None)) for name in ("department", "role", "clearance")]
        if all(one in (None, "") for one in given):
            raise serializers.ValidationError(
                {"department": "Say what the group gives: a department, a role, a clearance."}
            )
        return attrs
