from django.apps import AppConfig


class RetrievalConfig(AppConfig):
    name = "retrieval"
    verbose_name = "Retrieval"

    def ready(self) -> None:
        from tenants import references

        from . import models

        references.register("collection", references.by(models.Collection, "name"))
