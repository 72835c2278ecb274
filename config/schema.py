"""The OpenAPI schema and its reference page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.generic import View
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

from tenants.api.schema import COMPONENTS


def generate() -> Any:
    """The schema of the management plane."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    for kind, parts in COMPONENTS.items():
        schema["components"].setdefault(kind, {}).update(parts)
    return schema


class SchemaView(View):
    """YAML, or JSON where `Accept` or `?format=json` asks for it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        wants_json = request.GET.get("format") == "json" or (
            "json" in request.headers.get("Accept", "") and request.GET.get("format") != "yaml"
        )
        renderer = OpenApiJsonRenderer() if wants_json else OpenApiYamlRenderer()
        body = renderer.render(generate(), renderer_context={})
        return HttpResponse(body, content_type=renderer.media_type)


class DocsView(View):
    """Every route with its fields, rendered here: nothing is loaded from elsewhere."""

    def get(self, request: HttpRequest) -> HttpResponse:
        schema = generate()
        groups: dict[str, list[dict[str, Any]]] = {}
        for address, methods in schema["paths"].items():
            for method, operation in methods.items():
                row = {"method": method.upper(), "address": address, "about": operation.get("description", "")}
                groups.setdefault(address.split("/")[3], []).append(row)
        return render(request, "docs.html", {"groups": sorted(groups.items()), "info": schema["info"]})
