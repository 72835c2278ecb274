"""Filters of lists: a choice, a word, a period of days. Each is one small form, so that several combine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from .periods import read_day, start_of


class ParameterFilter(admin.SimpleListFilter):
    """A filter of one parameter; `narrow` says what its value means."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("", "")]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").strip()
        return self.narrow(queryset, value) if value else queryset

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        raise NotImplementedError


class TextFilter(ParameterFilter):
    """A word to be typed."""

    template = "console/filter_text.html"

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {"selected": bool(self.value()), "value": self.value() or "", "name": self.parameter_name}


class ChoiceFilter(ParameterFilter):
    """One of a few values."""

    template = "console/filter_choice.html"
    choices_shown: ClassVar[list[tuple[str, str]]] = []

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.offered(request) or [("", "")]

    def offered(self, request: HttpRequest) -> list[tuple[str, str]]:
        return self.choices_shown

    def choices(self, changelist: Any) -> Iterator[Any]:
        for value, text in [("", "All"), *((value, text) for value, text in self.lookup_choices if value)]:
            yield {
                "selected": value == (self.value() or ""),
                "value": value,
                "display": text,
                "name": self.parameter_name,
            }


PERIOD = ("since", "until")


class DatesFilter(admin.ListFilter):
    """A period of days, both included, in UTC."""

    title = "days"
    template = "console/filter_dates.html"
    column: ClassVar[str] = "time"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        given = {name: (params.pop(name, None) or [""])[-1] for name in PERIOD}
        self.used_parameters = {name: value for name, value in given.items() if value}
        self.since: date | None = read_day(given["since"])
        self.until: date | None = read_day(given["until"])

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [*PERIOD]

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {"selected": bool(self.since or self.until), "since": self.since, "until": self.until}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        queryset = self.narrow_by_id(queryset)
        if self.since:
            queryset = queryset.filter(**{f"{self.column}__gte": start_of(self.since)})
        if self.until:
            queryset = queryset.filter(**{f"{self.column}__lt": start_of(self.until + timedelta(days=1))})
        return queryset

    def narrow_by_id(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset
