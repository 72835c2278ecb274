-- Removes one answer of the open tenant, if it is the caller's and has not expired.
delete from gateway_storedresponse
where tenant_id = wall.tenant() and id = %(id)s and owner = %(owner)s and expires_at > now()
returning id
