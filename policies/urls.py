from tenants.api.routes import router

from . import views

routes = router()
routes.register("policies", views.PolicyView)
routes.register("redact", views.RedactView, basename="redact")
routes.register("restore", views.RestoreView, basename="restore")

urlpatterns = routes.urls
