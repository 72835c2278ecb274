from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from audit.data import comparison
        from tenants import references
        from tenants.snapshot import part

        from . import completeness, models, rollups, services

        comparison("ledger", completeness.compare)
        comparison("roll-ups", rollups.compare)
        references.register("budget", references.by(models.Budget, "id"))
        part("budgets", services.load_budgets)
        part("prices", services.load_prices)
