from tenants.api.routes import router

from . import views

routes = router()
routes.register("budgets", views.BudgetView)
routes.register("billing/usage", views.UsageView, basename="usage")

urlpatterns = routes.urls
