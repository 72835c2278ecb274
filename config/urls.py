"""All addresses outside of /v1."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView

from tenants.api.problems import no_such_route
from tenants.api.routes import router

from .schema import DocsView, SchemaView
from .views import OverviewView

routes = router()
routes.register("overview", OverviewView, basename="overview")

apps = ("tenants", "gateway", "billing", "audit", "policies", "retrieval")

urlpatterns = [
    path("", RedirectView.as_view(url="/console/")),
    path("console", RedirectView.as_view(url="/console/")),
    path("console/", admin.site.urls),
    re_path("^api/schema/?$", SchemaView.as_view(), name="schema"),
    re_path("^api/docs/?$", DocsView.as_view(), name="docs"),
    path("scim/v2", include("tenants.scim.urls")),
    *(path("api/v1/", include(f"{app}.urls")) for app in apps),
    path("api/v1/", include(routes.urls)),
    re_path("^api/", csrf_exempt(no_such_route)),
]
