from tenants.api.routes import router

from . import views

routes = router()
routes.register("audit/events", views.EventView, basename="event")
routes.register("audit/health", views.HealthView, basename="health")
routes.register("audit/receipts", views.ReceiptView, basename="receipt")
routes.register("audit/seals", views.SealView)
routes.register("audit/seal-keys", views.SealKeyView, basename="seal-key")
routes.register("audit/exports", views.ExportView)
routes.register("audit/holds", views.HoldView)
routes.register("audit/bodies", views.BodyView)
routes.register("erasure-requests", views.ErasureView)

urlpatterns = routes.urls
