from tenants.api.routes import router

from . import views

routes = router()
routes.register("budgets", views.BudgetView)
routes.register("budget-requests", views.BudgetRequestView)
routes.register("discounts", views.DiscountView)
routes.register("exchange-rates", views.ExchangeRateView)
routes.register("billing/usage", views.UsageView, basename="usage")
routes.register("billing/notices", views.NoticeView)
routes.register("billing/reconciliations", views.ReconciliationView)
routes.register("billing/reratings", views.ReratingView)
routes.register("billing/reports", views.ReportView)
routes.register("billing/report-schedules", views.ReportScheduleView)

urlpatterns = routes.urls
