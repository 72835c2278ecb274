from tenants.api.routes import router

from . import views

routes = router()
routes.register("policies", views.PolicyView)

urlpatterns = routes.urls
