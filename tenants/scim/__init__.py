"""Provisioning by a tenant's identity provider: SCIM 2.0 (RFC 7643, RFC 7644) at /scim/v2.

`filters` and `patch` are the two small languages, `attributes` what is kept and what the schemas say of it,
`resources` the shapes on the outside, `provisioning` every write, `views` the routes.
"""
