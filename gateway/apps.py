from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        from tenants import references
        from tenants.snapshot import part

        from . import catalogue, models

        references.register("model", references.by(models.Model, "name"))
        part(catalogue.PART, catalogue.load)
