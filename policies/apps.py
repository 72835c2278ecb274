from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "policies"
    verbose_name = "Policies"

    def ready(self) -> None:
        from tenants.snapshot import part

        from . import services

        part(services.PART, services.load)
