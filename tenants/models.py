"""Who is calling: tenants, departments, people, memberships and API keys."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from guardian.models import GroupObjectPermissionAbstract, UserObjectPermissionAbstract

from .ids import uuid7
from .isolation.model import TenantForeignKey, TenantModel
from .isolation.scope import CLEARANCES
from .roles import Role


class Clearance(models.IntegerChoices):
    """What somebody may see, and what a document is; stored as its place in the rising order."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    @property
    def word(self) -> str:
        return CLEARANCES[self]


class Tenant(models.Model):
    """An organisation; nothing of one is ever visible to another. Personal data: none."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    rpm = models.PositiveBigIntegerField("requests per minute", null=True, blank=True)
    tpm = models.PositiveBigIntegerField("tokens per minute", null=True, blank=True)
    # A policy is put in force by somebody else than whoever wrote it.
    four_eyes = models.BooleanField(default=False)
    # Members without a second factor set one up before they see any page.
    require_second_factor = models.BooleanField("members need a second factor", default=False)
    has_webhooks = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Revision(models.Model):
    """Counts the changes of what workers keep in memory of a tenant. Personal data: none."""

    tenant = models.OneToOneField(Tenant, models.CASCADE, primary_key=True)
    number = models.BigIntegerField(default=0)


class Department(TenantModel):
    """A cost centre of a tenant. Personal data: none."""

    slug = models.SlugField(max_length=63)
    name = models.CharField(max_length=200)

    class Meta:
        ordering = ["slug"]
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="department_slug")]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, name: str, password: str | None = None, **more: Any) -> User:
        user = self.model(email=email.strip().lower(), name=name, **more)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person, with one membership per tenant. Personal data: e-mail address, name, password hash, last sign-in."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    # The tenant that made the account: its administrators, and no other tenant's, help who lost their way in.
    home = models.UUIDField(null=True, editable=False)
    # Since when signing in needs a second factor; what it is lies beside (SecondFactor), for the person alone.
    second_factor_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        ordering = ["email"]
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_staff(self) -> bool:
        """Every active person may enter the console; what it shows is decided by role."""
        return self.is_active


class SecondFactor(models.Model):
    """A person's authenticator. `sealed` is its secret, encrypted; `recovery` are keyed hashes of codes that work once;
    `last_step` is the step of the clock that was used last. Personal data: that a person has one, since when.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.OneToOneField(User, models.CASCADE, related_name="+")
    sealed = models.BinaryField()
    recovery = ArrayField(models.CharField(max_length=64), default=list)
    last_step = models.BigIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    tries_since = models.DateTimeField(auto_now_add=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return "second factor"


class Passkey(models.Model):
    """A person's passkey (WebAuthn). `public` is what verifies it (the credential with its public key), `counter` the
    number of signatures it told last, `last_challenge` a hash of the challenge it answered last: none is answered
    twice. Personal data: that a person has one, what they call it, when it was used.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    credential = models.BinaryField(unique=True)
    public = models.BinaryField()
    counter = models.BigIntegerField(default=0)
    last_challenge = models.BinaryField(default=b"")
    used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.name


class Membership(TenantModel):
    """A person's place in a tenant: a role, departments and a clearance. Personal data: who belongs where.

    `agreed`: whoever has the account's password may open it. Not so while another tenant made the account and nobody
    has shown yet that the address is theirs: until then only this tenant's own provider opens it for them.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    agreed = models.BooleanField(default=True, editable=False)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)
    clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.INTERNAL)
    created_at = models.DateTimeField(auto_now_add=True)
    departments = models.ManyToManyField(Department, through="MembershipDepartment", related_name="members")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_per_tenant")]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class MembershipDepartment(TenantModel):
    """A department that a member belongs to. Personal data: who belongs where."""

    membership = TenantForeignKey(Membership, models.CASCADE, related_name="+")
    department = TenantForeignKey(Department, models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "membership", "department"], name="member_once_per_department")
        ]


class Invitation(TenantModel):
    """A place that is held for whoever has an e-mail address, until they open the link that a mail brings them.

    Of the link only a keyed hash is kept, and that until it is used. `inviter` is the actor who answers for the place;
    `next_at` is when the mail is due, none when none waits. Personal data: an e-mail address, who invited.
    """

    email = models.EmailField()
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)
    clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.INTERNAL)
    departments = ArrayField(models.UUIDField(), default=list, blank=True)
    inviter = models.JSONField(default=dict, editable=False)
    origin = models.CharField(max_length=200, editable=False)
    digest = models.CharField(max_length=64, null=True, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    next_at = models.DateTimeField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    error = models.CharField(max_length=300, blank=True, default="", editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=models.Q(accepted_at__isnull=True),
                name="one_invitation_per_address",
            )
        ]

    def __str__(self) -> str:
        return self.email


class ApiKey(TenantModel):
    """A machine credential of one department (or person); only a keyed hash is kept. Personal data: its maker's id."""

    name = models.CharField(max_length=200)
    public_id = models.CharField(max_length=24, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.DEVELOPER)
    clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.INTERNAL)
    department = TenantForeignKey(Department, models.PROTECT, related_name="keys", null=True, blank=True)
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="keys")
    scopes = ArrayField(models.CharField(max_length=60), null=True, blank=True)
    model_names = ArrayField(models.CharField(max_length=200), null=True, blank=True)
    rpm = models.PositiveBigIntegerField("requests per minute", null=True, blank=True)
    tpm = models.PositiveBigIntegerField("tokens per minute", null=True, blank=True)
    ip_allow = ArrayField(models.CharField(max_length=60), null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=80, editable=False, default="")
    # Whom it never exceeds: the key or the person of this tenant that made it; none, when set-up or the platform did.
    made_by_key = models.UUIDField(null=True, editable=False)
    made_by_user = models.UUIDField(null=True, editable=False)
    departments = models.ManyToManyField(Department, through="ApiKeyDepartment", related_name="searching_keys")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (sk-ch-{self.public_id}-…)"


class ApiKeyDepartment(TenantModel):
    """A further department whose documents a key may search. Personal data: none."""

    key = TenantForeignKey(ApiKey, models.CASCADE, related_name="+")
    department = TenantForeignKey(Department, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "key", "department"], name="key_once_per_department")]


class ObjectType(models.TextChoices):
    MODEL = "model"
    COLLECTION = "collection"
    DOCUMENT = "document"
    POLICY = "policy"
    BUDGET = "budget"


#: Kinds of objects on which rights are granted one by one, and those of them that calls use.
GRANTED = (ObjectType.MODEL, ObjectType.COLLECTION, ObjectType.POLICY, ObjectType.BUDGET)
USED = (ObjectType.MODEL, ObjectType.COLLECTION)


class Grant(TenantModel):
    """A right on one object for a person, a department or a key: it widens the role's rights or, with `deny`, narrows
    them; denial wins. What people are granted is django-guardian's row as well (PersonPermission), in step with this
    one. Personal data: a person's id.
    """

    object_type = models.CharField(max_length=20, choices=ObjectType.choices)
    object_id = models.UUIDField()
    to_type = models.CharField(max_length=20, choices=[("user", "user"), ("department", "department"), ("key", "key")])
    to_id = models.UUIDField()
    right = models.CharField(max_length=20, choices=[("use", "use"), ("view", "view"), ("change", "change")])
    deny = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "object_type", "object_id", "to_type", "to_id", "right"], name="grant_once"
            )
        ]


class PersonPermission(TenantModel, UserObjectPermissionAbstract):
    """django-guardian's object permission of a person, behind the wall. Personal data: who may do what."""

    class Meta(UserObjectPermissionAbstract.Meta):
        abstract = False
        unique_together = ["tenant", "user", "permission", "object_pk"]


class GroupPermission(TenantModel, GroupObjectPermissionAbstract):
    """django-guardian's object permission of a group, behind the wall. Personal data: none."""

    class Meta(GroupObjectPermissionAbstract.Meta):
        abstract = False
        unique_together = ["tenant", "group", "permission", "object_pk"]


class KeptAnswer(TenantModel):
    """What a POST with an Idempotency-Key was answered, sealed, for whoever sends it again within a day.

    Personal data: whatever the answer holds, encrypted.
    """

    principal = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    sealed = models.BinaryField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "principal", "key"], name="one_answer_per_key")]
        indexes = [models.Index(fields=["tenant", "expires_at"], name="kept_answer_expiry")]


class Webhook(TenantModel):
    """An address of the tenant's that is told what happens; `events` are actions, `policy.*`, or `*`. Its secret is
    sealed. Personal data: none.
    """

    url = models.CharField(max_length=500)
    events = ArrayField(models.CharField(max_length=80))
    active = models.BooleanField(default=True)
    sealed = models.BinaryField(editable=False)
    seen_at = models.DateTimeField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDelivery(TenantModel):
    """One event on its way to one webhook, and how that went; kept for a month. Personal data: as the audit event."""

    webhook = TenantForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_index=False)
    event_id = models.UUIDField()
    action = models.CharField(max_length=80)
    payload = models.JSONField()
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    tried_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "webhook", "event_id"], name="told_once")]
        indexes = [
            models.Index(
                fields=["tenant", "next_at"], name="delivery_waiting", condition=models.Q(state=DeliveryState.PENDING)
            ),
            models.Index(fields=["tenant", "created_at"], name="delivery_age"),
        ]


class Protocol(models.TextChoices):
    """What an identity provider speaks."""

    OIDC = "oidc", "OpenID Connect"
    SAML = "saml", "SAML 2.0"


class IdentityProvider(TenantModel):
    """Who vouches for a tenant's people: an issuer of tokens or SAML responses, and what their claims mean here.

    `departments` (pairs, whose order counts), `roles` and `clearances` say what a claim's values stand for: a
    department's id, a role, a step of the rising order. `client_id`, `sealed` (its secret, encrypted) and `scopes` are
    for signing in to the console with it. A SAML provider signs people in and issues no tokens: `issuer` is its entity
    id, `audience` ours, `sso_url` where it is asked, `certificates` (PEM) what it signs with. Personal data: none.
    """

    protocol = models.CharField(max_length=10, choices=Protocol.choices, default=Protocol.OIDC)
    name = models.CharField(max_length=200)
    issuer = models.CharField(max_length=500)
    audience = models.CharField(max_length=300)
    jwks_url = models.CharField(max_length=500, blank=True, default="")
    algorithms = ArrayField(models.CharField(max_length=10))
    user_claim = models.CharField(max_length=200, default="sub")
    email_trusted = models.BooleanField(default=False)
    members_only = models.BooleanField(default=False)
    department = TenantForeignKey(Department, models.PROTECT, related_name="+", null=True, blank=True)
    department_claim = models.CharField(max_length=200, blank=True, default="")
    departments = models.JSONField(default=list, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True, default=Role.MEMBER)
    role_claim = models.CharField(max_length=200, blank=True, default="")
    roles = models.JSONField(default=dict, blank=True)
    clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, default=Clearance.INTERNAL)
    clearance_claim = models.CharField(max_length=200, blank=True, default="")
    clearances = models.JSONField(default=dict, blank=True)
    rpm = models.PositiveBigIntegerField("requests per minute", null=True, blank=True)
    tpm = models.PositiveBigIntegerField("tokens per minute", null=True, blank=True)
    clock_skew = models.PositiveSmallIntegerField(default=60)
    active = models.BooleanField(default=True)
    sign_in = models.BooleanField(default=False)
    makes_members = models.BooleanField(default=False)
    client_id = models.CharField(max_length=300, blank=True, default="")
    sealed = models.BinaryField(null=True, editable=False)
    scopes = models.CharField(max_length=300, default="openid email profile")
    sso_url = models.CharField(max_length=500, blank=True, default="")
    certificates = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="identity_provider_name"),
            # Of one token there is one tenant, whoever asks first: no other tenant may listen in.
            models.UniqueConstraint(fields=["issuer", "audience"], name="one_tenant_per_audience"),
        ]

    def __str__(self) -> str:
        return self.name


class ScimUser(TenantModel):
    """A person as the tenant's identity provider tells of them (RFC 7643): the tenant's own view, beside the account
    that other tenants may share. Without a membership they are not active. `given_…` is what groups gave last.

    Personal data: names, user name, e-mail addresses, the identity provider's id.
    """

    user_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, blank=True, default="")
    display_name = models.CharField(max_length=255, blank=True, default="")
    formatted = models.CharField(max_length=255, blank=True, default="")
    given_name = models.CharField(max_length=255, blank=True, default="")
    family_name = models.CharField(max_length=255, blank=True, default="")
    emails = models.JSONField(default=list, blank=True)
    membership = TenantForeignKey(Membership, models.SET_NULL, null=True, related_name="provisioned")
    given_role = models.CharField(max_length=20, choices=Role.choices, blank=True, default="")
    given_clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, null=True)
    given_departments = ArrayField(models.UUIDField(), default=list)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint("tenant", Lower("user_name"), name="scim_user_name"),
            models.UniqueConstraint(fields=["tenant", "membership"], name="scim_user_place"),
        ]
        indexes = [models.Index(fields=["tenant", "external_id"], name="scim_user_external")]

    def __str__(self) -> str:
        return self.user_name


class ScimGroup(TenantModel):
    """A group of the tenant's identity provider. What it gives stands in GroupMapping. Personal data: none."""

    display_name = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint("tenant", Lower("display_name"), name="scim_group_name")]

    def __str__(self) -> str:
        return self.display_name


class ScimMember(TenantModel):
    """A person's place in a group of the identity provider. Personal data: who belongs where."""

    group = TenantForeignKey(ScimGroup, models.CASCADE, related_name="members")
    user = TenantForeignKey(ScimUser, models.CASCADE, related_name="groups")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "group", "user"], name="scim_member_once")]


class ScimContact(TenantModel):
    """When the tenant's identity provider was last here, to the minute. Personal data: none."""

    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="one_scim_contact")]


class GroupMapping(TenantModel):
    """What the members of a group of the identity provider get: a department, a role (never owner), a clearance.

    Personal data: none.
    """

    group = models.CharField(max_length=255)
    department = TenantForeignKey(Department, models.PROTECT, related_name="+", null=True, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True, default="")
    clearance = models.PositiveSmallIntegerField(choices=Clearance.choices, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["group"]
        constraints = [models.UniqueConstraint("tenant", Lower("group"), name="one_mapping_per_group")]

    def __str__(self) -> str:
        return self.group


class Identity(TenantModel):
    """Who a subject of an identity provider is here. It stays when the person's place ends, so that the provider does
    not bring back whom the tenant has sent away. Personal data: a person's id and their subject at the provider.
    """

    provider = TenantForeignKey(IdentityProvider, models.CASCADE, related_name="identities")
    subject = models.CharField(max_length=255)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["tenant", "provider", "subject"], name="one_person_per_subject")]

    def __str__(self) -> str:
        return self.subject
