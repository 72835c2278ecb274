from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        from tenants.snapshot import part

        from . import catalogue

        part(catalogue.PART, catalogue.load)
