"""The console: Django's admin site, grown up."""

from __future__ import annotations

from unfold.sites import UnfoldAdminSite


class Console(UnfoldAdminSite):
    """One site for tenant and policy work."""

    site_title = site_header = "Customhouse"
