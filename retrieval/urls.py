from tenants.api.routes import router

from . import views

routes = router()
routes.register("collections", views.CollectionView)
routes.register("documents", views.DocumentView)
routes.register("feedback", views.FeedbackView)
routes.register("ingest-jobs", views.IngestJobView)

urlpatterns = routes.urls
