from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants"

    def ready(self) -> None:
        from . import models, references

        references.register("department", references.by(models.Department, "slug"))
        references.register("user", references.by(models.User, "email"))
        references.register("key", references.by(models.ApiKey, "public_id"))
