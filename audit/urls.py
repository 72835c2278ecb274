from tenants.api.routes import router

from . import views

routes = router()
routes.register("audit/events", views.EventView, basename="event")

urlpatterns = routes.urls
