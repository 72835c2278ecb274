from . import views
from .api.routes import router

routes = router()
routes.register("tenants", views.TenantView)
routes.register("departments", views.DepartmentView)
routes.register("users", views.UserView)
routes.register("memberships", views.MembershipView)
routes.register("invitations", views.InvitationView)
routes.register("api-keys", views.ApiKeyView)
routes.register("roles", views.RoleView, basename="role")
routes.register("grants", views.GrantView)
routes.register("identity-providers", views.IdentityProviderView)
routes.register("group-mappings", views.GroupMappingView)
routes.register("webhooks", views.WebhookView)

urlpatterns = routes.urls
