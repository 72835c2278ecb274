from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "policies"
    verbose_name = "Policies"

    def ready(self) -> None:
        from tenants import references
        from tenants.snapshot import part

        from . import models, services

        references.register("policy", references.by(models.Policy, "name"))
        part(services.PART, services.load)
