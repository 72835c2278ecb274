"""The console's pages about what we know: collections, and the documents in them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from tenants.console import cells
from tenants.console import forms as inputs
from tenants.console.filters import ChoiceFilter
from tenants.console.member import Member, grants_of
from tenants.console.pages import TenantAdmin, counted, state_reason
from tenants.models import Clearance, Department

from . import services, synonyms
from .data import Upload
from .errors import RetrievalError
from .ingest.pipeline import EMBED
from .models import Collection, Document, State

TONES = {State.READY: "good", State.FAILED: "bad", State.QUEUED: "note", State.RUNNING: "note"}
STAGES = {State.READY: "ready", State.FAILED: "failed", State.QUEUED: "waiting", State.RUNNING: "being read"}


def classifications(member: Member) -> list[tuple[int, str]]:
    return [(step.value, step.label) for step in Clearance if step <= member.clearance]


def words_alike() -> forms.CharField:
    return inputs.long_text(
        "Words that mean the same",
        required=False,
        help_text="A line for each group, as: lease, tenancy agreement. Asked with one, the others are found as well.",
    )


def groups_of(text: str) -> list[list[str]]:
    """Raises ValidationError."""
    try:
        return synonyms.of_lines(text)
    except RetrievalError as error:
        raise forms.ValidationError(str(error)) from error


class WordsForm(forms.Form):
    """What means the same in a collection."""

    synonyms = words_alike()
    reason = inputs.reason()

    def clean_synonyms(self) -> list[list[str]]:
        return groups_of(self.cleaned_data["synonyms"])


class CollectionForm(forms.Form):
    """A new collection."""

    name = inputs.text("Name", max_length=120, help_text="Calls name it to be grounded in it.")
    department = inputs.DepartmentField("Department", required=False, help_text="Empty: for all departments.")
    classification = inputs.step("Classification", help_text="The least that its documents have.")
    synonyms = words_alike()

    def __init__(self, member: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["classification"].choices = classifications(member)  # type: ignore[attr-defined]

    def clean_synonyms(self) -> list[list[str]]:
        return groups_of(self.cleaned_data["synonyms"])


@admin.register(Collection)
class CollectionPage(TenantAdmin):
    rights = "collections"
    granted = "collection"
    refusals = (RetrievalError,)
    add_text = "Add collection"
    deletable = True
    lead = "Documents that belong together. A call names the collections in which it is grounded."
    empty = ("No collection yet", "Add one, then upload the documents that answers should cite.")
    list_display = ("name", "belongs", "classified", "ready", "failed", "number")
    list_select_related = ("department",)
    search_fields = ("name",)
    search_help_text = "A name"
    sortable_by = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        ready = counted(Document.objects.exclude(indexed_version=None), "collection")
        failed = counted(Document.objects.filter(state=State.FAILED), "collection")
        return super().get_queryset(request).annotate(answering=ready, broken=failed)

    @admin.display(description="department")
    def belongs(self, collection: Collection) -> str:
        return str(collection.department or "all")

    @admin.display(description="classification")
    def classified(self, collection: Collection) -> str:
        return collection.get_classification_display()

    @admin.display(description="documents that answer")
    def ready(self, collection: Any) -> SafeString:
        url = f"{reverse('admin:retrieval_document_changelist')}?collection={collection.pk}"
        return cells.link(url, cells.count(collection.answering))

    @admin.display(description="failed")
    def failed(self, collection: Any) -> SafeString:
        return cells.count(collection.broken)

    @admin.display(description="id")
    def number(self, collection: Collection) -> SafeString:
        return cells.short_id(collection.pk)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = CollectionForm(
            self.member(request), request.POST or None, initial={"classification": Clearance.INTERNAL}
        )
        if form.is_valid() and (made := self.make(form)) is not None:
            messages.success(request, f"The collection {made.name} is ready for documents.")
            return HttpResponseRedirect(reverse("admin:retrieval_collection_changelist"))
        return inputs.form_page(self, request, form, title="Add a collection", submit="Add collection", lead=self.lead)

    def make(self, form: CollectionForm) -> Collection | None:
        data, department = form.cleaned_data, form.cleaned_data["department"]
        return inputs.attempt(
            form,
            lambda: services.create_collection(
                data["name"],
                department=department.pk if department else None,
                classification=data["classification"],
                synonyms=data["synonyms"],
            ),
            RetrievalError,
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such collection here.")
        documents = reverse("admin:retrieval_document_changelist")
        facts = [
            ("Department", self.belongs(found)),
            ("Classification", self.classified(found)),
            ("Documents that answer", self.ready(found)),
            ("Failed", self.failed(found)),
            ("Embedding model", found.embedding_model or "the built-in one"),
            ("Words that mean the same", cells.lines(", ".join(group) for group in found.synonyms)),
            ("Made", cells.moment(found.created_at)),
            ("Id", cells.short_id(found.pk)),
        ]
        links = [("Its documents", f"{documents}?collection={found.pk}", "default")]
        if self.has_delete_permission(request, found):
            links.insert(
                0, ("Delete collection", reverse("admin:retrieval_collection_delete", args=[found.pk]), "danger")
            )
        if self.has_change_permission(request, found):
            words = reverse("admin:retrieval_collection_words", args=[found.pk])
            links.insert(0, ("Words that mean the same", words, ""))
        return self.facts_page(request, found, found.name, facts, links)

    def get_urls(self) -> list[URLPattern]:
        words = self.admin_site.admin_view(self.words_view)
        return [path("<uuid:collection>/words/", words, name="retrieval_collection_words"), *super().get_urls()]

    def words_view(self, request: HttpRequest, collection: UUID) -> HttpResponse:
        """What means the same in a collection."""
        found = self.get_object(request, str(collection))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such collection here.")
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        form = WordsForm(request.POST or None, initial={"synonyms": synonyms.lines(found.synonyms)})
        if form.is_valid():
            state_reason(form.cleaned_data["reason"])
            services.change_collection(found.pk, synonyms=form.cleaned_data["synonyms"])
            messages.success(request, f"Questions to {found.name} are searched for with these words from now on.")
            return HttpResponseRedirect(reverse("admin:retrieval_collection_change", args=[found.pk]))
        return inputs.form_page(self, request, form, title=f"Words of {found.name}", submit="Save", lead=self.lead)

    def consequences(self, obj: Any) -> list[str]:
        return [f"{obj.documents.count():,} documents and all their chunks are removed; answers no longer cite them."]

    def delete_model(self, request: HttpRequest, obj: Collection) -> None:
        services.delete_collection(obj.pk)


class DocumentForm(forms.Form):
    """Something to be known: a file, or text."""

    collection = inputs.one_of("Collection", Collection.objects.all())
    file = inputs.upload(
        "File", required=False, help_text="PDF, office files, web pages, mails, pictures, text, or a ZIP of these."
    )
    password = inputs.secret("Password of the file", required=False, help_text="Opens it; is not kept.")
    text = inputs.long_text("Or text", required=False)
    title = inputs.text("Title", required=False, max_length=500, help_text="Empty: as the document says.")
    classification = inputs.step("Classification", help_text="Who has a lower clearance does not find it.")
    departments = inputs.DepartmentsField("Departments", help_text="None ticked: everybody who may see the collection.")

    def __init__(self, member: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["classification"].choices = classifications(member)  # type: ignore[attr-defined]
        if member.departments is not None:
            own = Department.objects.filter(pk__in=member.departments)
            self.fields["departments"].queryset = own  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(data.get("file")) == bool((data.get("text") or "").strip()):
            raise forms.ValidationError("Choose a file or write a text, one of the two.")
        return data

    def upload(self, by: str) -> Upload:
        """What is submitted, on behalf of `by`."""
        data, file = self.cleaned_data, self.cleaned_data["file"]
        return Upload(
            collection=data["collection"].pk,
            text=None if file else data["text"],
            content=file.read() if file else None,
            filename=file.name if file else "",
            mime=file.content_type if file else "text/plain",
            title=data["title"],
            classification=data["classification"],
            departments=tuple(department.pk for department in data["departments"]),
            uploaded_by=by,
            password=data["password"],
        )


class StateFilter(ChoiceFilter):
    title, parameter_name = "state", "state"
    choices_shown = [(state.value, text.capitalize()) for state, text in STAGES.items()]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(state=value)


class CollectionFilter(ChoiceFilter):
    title, parameter_name = "collection", "collection"

    def offered(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(str(one.pk), one.name) for one in Collection.objects.all()]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        known = {str(pk) for pk in Collection.objects.values_list("pk", flat=True)}
        return queryset.filter(collection_id=value) if value in known else queryset.none()


@admin.register(Document)
class DocumentPage(TenantAdmin):
    rights = "documents"
    refusals = (RetrievalError,)
    add_text = "Upload"
    deletable = True
    lead = (
        "What answers are grounded in. Who may read a document is decided in the database, by department and clearance."
    )
    empty = ("No document yet", "Upload a PDF, an office file, a mail or a text: it can be cited once it is ready.")
    list_display = ("document", "within", "standing", "classified", "size_shown", "parts", "changed")
    list_display_links = ("document",)
    list_filter = (StateFilter, CollectionFilter)
    list_filter_submit = True
    list_select_related = ("collection",)
    search_fields = ("title", "external_id")
    search_help_text = "A title"
    ordering = ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        retry = self.admin_site.admin_view(require_POST(self.retry_view))
        retry_failed = self.admin_site.admin_view(require_POST(self.retry_failed_view))
        return [
            path("retry-failed/", retry_failed, name="retrieval_document_retry_failed"),
            path("<path:object_id>/retry/", retry, name="retrieval_document_retry"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """To any collection; to which one, the upload is asked."""
        granted = {right for kind, _, right in grants_of(request).given if kind == "collection"}
        return super().has_add_permission(request) or "change" in granted

    def has_change_permission(self, request: HttpRequest, obj: Document | None = None) -> bool:
        """Documents are changed by those who may change documents, or their collection by grant."""
        if obj is None:
            return super().has_change_permission(request)
        return self.is_own(request, obj) and self.writes(request, obj.collection_id)

    def writes(self, request: HttpRequest, collection: UUID) -> bool:
        """Whether the person may change what is in a collection."""
        by_role = self.by_role(request, "change")
        return grants_of(request).allow("collection", collection, "change", by_role=by_role)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        failed = Document.objects.filter(state=State.FAILED).count() if self.has_change_permission(request) else 0
        address = reverse("admin:retrieval_document_retry_failed")
        posts = [(f"Read the {failed:,} that failed again", address)] if failed else []
        return super().changelist_view(request, {"posts": posts, **(extra_context or {})})

    @admin.display(description="document", ordering="title")
    def document(self, document: Document) -> SafeString:
        return cells.words(str(document), document.error or document.external_id or "")

    @admin.display(description="collection", ordering="collection__name")
    def within(self, document: Document) -> str:
        return str(document.collection)

    @admin.display(description="state", ordering="state")
    def standing(self, document: Document) -> SafeString:
        state = State(document.state)
        text = STAGES[state]
        if state == State.RUNNING and document.stage == EMBED:
            text = f"being embedded, {document.progress} %"
        elif state == State.QUEUED and document.attempts:
            text = f"waiting for attempt {document.attempts + 1}"
        return cells.label(text, TONES[state], document.error)

    @admin.display(description="classification", ordering="classification")
    def classified(self, document: Document) -> str:
        return document.get_classification_display()

    @admin.display(description="size", ordering="size")
    def size_shown(self, document: Document) -> SafeString:
        return cells.size(document.size)

    @admin.display(description="chunks", ordering="chunks")
    def parts(self, document: Document) -> SafeString:
        return cells.count(document.chunks)

    @admin.display(description="changed", ordering="updated_at")
    def changed(self, document: Document) -> SafeString:
        return cells.moment(document.updated_at)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not Collection.objects.exists():
            messages.info(request, "Documents live in collections: add one first.")
            return HttpResponseRedirect(reverse("admin:retrieval_collection_add"))
        member = self.member(request)
        first = {
            "classification": min(Clearance.INTERNAL, member.clearance),
            "collection": request.GET.get("collection"),
        }
        form = DocumentForm(member, request.POST or None, request.FILES or None, initial=first)
        if form.is_valid() and self.submit(request, form):
            messages.success(request, "The document is being read; it answers as soon as it is ready.")
            return HttpResponseRedirect(reverse("admin:retrieval_document_changelist"))
        return inputs.form_page(self, request, form, title="Upload a document", submit="Upload", lead=self.lead)

    def submit(self, request: HttpRequest, form: DocumentForm) -> Any:
        if not self.writes(request, form.cleaned_data["collection"].pk):
            form.add_error("collection", "The documents of this collection are not yours to change.")
            return None
        upload = form.upload(str(self.member(request).user))
        return inputs.attempt(form, lambda: services.submit(upload), RetrievalError)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such document here.")
        names = self.admin_site.names_of("department", found.departments)
        facts = [
            ("State", self.standing(found)),
            ("Failed at", f"{found.stage}, attempt {found.attempts}" if found.state == State.FAILED else ""),
            ("Why it failed", found.error),
            ("Collection", found.collection.name),
            ("Classification", self.classified(found)),
            ("Departments", cells.labels(names.values()) if names else "all"),
            ("Version", f"{found.version}, {found.indexed_version or 'none'} answers"),
            ("External id", found.external_id or ""),
            ("Type", found.mime),
            ("Size", self.size_shown(found)),
            ("Pages", cells.count(found.pages) if found.pages else ""),
            ("Chunks", self.parts(found)),
            ("Metadata", cells.document(found.metadata) if found.metadata else ""),
            ("Expires", cells.moment(found.expires_at) if found.expires_at else "never"),
            ("Uploaded", cells.moment(found.created_at)),
            ("Id", cells.short_id(found.pk)),
        ]
        may = self.has_delete_permission(request, found)
        return self.facts_page(
            request,
            found,
            str(found),
            [(name, value) for name, value in facts if value],
            [("Delete document", reverse("admin:retrieval_document_delete", args=[found.pk]), "danger")] if may else [],
            [("Read it again", reverse("admin:retrieval_document_retry", args=[found.pk]))]
            if may and found.state == State.FAILED
            else [],
            again=found.state in (State.QUEUED, State.RUNNING),
        )

    def retry_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Reads a document anew, for instance after it failed."""
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404("There is no such document here.")
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        try:
            services.retry(found.pk)
            messages.success(request, f"{found} is being read again.")
        except RetrievalError as refusal:
            messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("admin:retrieval_document_change", args=[found.pk]))

    def retry_failed_view(self, request: HttpRequest) -> HttpResponse:
        """Reads all documents anew that failed, as after the cause of it was mended."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        try:
            messages.success(request, f"{services.retry_failed().accepted:,} documents are being read again.")
        except RetrievalError as refusal:
            messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("admin:retrieval_document_changelist"))

    def consequences(self, obj: Document) -> list[str]:
        return [f"Its {obj.chunks:,} chunks are removed with it; answers no longer cite it."]

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        services.delete_document(obj.pk)
