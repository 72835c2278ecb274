from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class WiringConfig(AppConfig):
    """The wiring's own commands and templates."""

    name = "config"
    default = True

    def ready(self) -> None:
        from tenants import webhooks

        from . import celery, trail  # noqa: F401  every process that submits work knows the broker

        webhooks.events_from(trail.since)


class ConsoleConfig(admin_apps.AdminConfig):
    """Django's admin, served as the console."""

    default = False
    default_site = "config.console.Console"
