"""The routes of SCIM, with and without a trailing slash."""

from __future__ import annotations

from django.urls import re_path

from . import views

_ID = "/(?P<identity>[^/]+)"
_NAME = "/(?P<name>[^/]+)"

urlpatterns = [
    re_path("^/ServiceProviderConfig/?$", views.SettingsView.as_view()),
    re_path("^/ResourceTypes/?$", views.TypesView.as_view()),
    re_path(f"^/ResourceTypes{_NAME}/?$", views.TypesView.as_view()),
    re_path("^/Schemas/?$", views.SchemasView.as_view()),
    re_path(f"^/Schemas{_NAME}/?$", views.SchemasView.as_view()),
    re_path("^/Users/?$", views.UsersView.as_view()),
    re_path("^/Groups/?$", views.GroupsView.as_view()),
    re_path("^/(?:Bulk|Me|[.]search|Users/[.]search|Groups/[.]search)/?$", views.NotOfferedView.as_view()),
    re_path(f"^/Users{_ID}/?$", views.UserView.as_view()),
    re_path(f"^/Groups{_ID}/?$", views.GroupView.as_view()),
    re_path("^(?:/.*)?$", views.NowhereView.as_view()),
]
