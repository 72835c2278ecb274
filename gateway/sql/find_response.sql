-- One answer of the open tenant, if it is the caller's and has not expired.
select sealed from gateway_storedresponse
where tenant_id = wall.tenant() and id = %(id)s and owner = %(owner)s and expires_at > now()
