"""Lists: pages by cursor, narrowed by the parameters that a view names, in an order that it allows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Q, QuerySet
from rest_framework import exceptions
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from tenants import references

from .moments import moment

#: how one parameter narrows a list: a column that must be equal, or what makes a condition of the value
Filter = str | Callable[[str], Q]

NOBODY = Q(pk__in=())
TIMES = {"created_after": "created_at__gte", "created_before": "created_at__lt"}


def refers_to(kind: str, column: str) -> Filter:
    """By another object's id or name. One that does not exist has no rows."""

    def condition(value: str) -> Q:
        try:
            return Q(**{column: references.resolve(kind, value)})
        except ObjectDoesNotExist:
            return NOBODY

    return condition


def target_of(*kinds: str) -> Filter:
    """By the id or name of what the columns `scope` and `target` say; several kinds may have that name."""

    def condition(value: str) -> Q:
        found = NOBODY
        for kind in kinds:
            try:
                found |= Q(scope=kind, target=references.resolve(kind, value))
            except ObjectDoesNotExist:
                continue
        return found

    return condition


def flag(column: str) -> Filter:
    """By `true` or `false`."""

    def condition(value: str) -> Q:
        if value not in ("true", "false"):
            raise exceptions.ValidationError("Must be true or false.")
        return Q(**{column: value == "true"})

    return condition


def word_of(words: Collection[str], column: str) -> Filter:
    """By one of some words that are stored as their place among them."""
    places = {word: place for place, word in enumerate(words)}

    def condition(value: str) -> Q:
        if value not in places:
            raise exceptions.ValidationError("Must be one of " + ", ".join(places) + ".")
        return Q(**{column: places[value]})

    return condition


class Pages(CursorPagination):
    """Newest first unless `ordering` says otherwise; `limit` rows a page."""

    page_size = 100
    max_page_size = 1000
    page_size_query_param = "limit"
    ordering = "-id"

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """The columns that `ordering` names, with the id to decide between equal rows."""
        asked = [name for name in request.query_params.get("ordering", "").split(",") if name]
        allowed = ("id", *getattr(view, "orderings", ()))
        unknown = [name for name in asked if name.removeprefix("-") not in allowed]
        if unknown:
            raise exceptions.ValidationError(
                {"ordering": f"Lists are ordered by {', '.join(allowed)}, or -{allowed[0]}."}
            )
        return (*asked, "-id") if "id" not in asked and "-id" not in asked else tuple(asked)


class Filters(BaseFilterBackend):
    """Narrows a list by the view's `filters`, by `search` in its `searched` columns, and by when rows were made."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if view.action != "list":
            return queryset
        for name, narrows in view.filters.items():
            value = request.query_params.get(name)
            if value:
                queryset = queryset.filter(_condition(name, narrows, value))
        search = request.query_params.get("search")
        if search and view.searched:
            queryset = queryset.filter(_any({f"{column}__icontains": search for column in view.searched}))
        for name, column in _times(queryset).items():
            since = moment(request, name)
            if since is not None:
                queryset = queryset.filter(**{column: since})
        return queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """For the OpenAPI schema."""
        known = {name: f"Only those with this {name.replace('_', ' ')}." for name in view.filters}
        if view.searched:
            known["search"] = "Only those that have these letters in " + ", ".join(view.searched) + "."
        known |= dict.fromkeys(_times(view.queryset), "Only those made since, or before, this time.")
        known["ordering"] = "The order: " + ", ".join(("id", *view.orderings)) + "; with - from the last to the first."
        return [
            {"name": name, "in": "query", "required": False, "description": about, "schema": {"type": "string"}}
            for name, about in known.items()
        ]


def _times(queryset: QuerySet[Any] | None) -> Mapping[str, str]:
    if queryset is None or not any(field.name == "created_at" for field in queryset.model._meta.fields):
        return {}
    return TIMES


def _condition(name: str, narrows: Filter, value: str) -> Q:
    if isinstance(narrows, str):
        return Q(**{narrows: value})
    try:
        return narrows(value)
    except exceptions.ValidationError as error:
        raise exceptions.ValidationError({name: error.detail}) from error


def _any(wanted: Mapping[str, str]) -> Q:
    found = Q()
    for column, value in wanted.items():
        found |= Q(**{column: value})
    return found


__all__ = ["Filter", "Filters", "Pages", "flag", "refers_to", "target_of", "word_of"]
