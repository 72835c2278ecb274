from tenants.api.routes import router

from . import views

routes = router()
routes.register("providers", views.ProviderView)
routes.register("deployments", views.DeploymentView)
routes.register("models", views.ModelView)
routes.register("prices", views.PriceView, basename="price")

urlpatterns = routes.urls
