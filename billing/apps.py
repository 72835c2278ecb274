from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from tenants.snapshot import part

        from . import services

        part("budgets", services.load_budgets)
        part("prices", services.load_prices)
