-- A worker says that it lives and since when its oldest open call runs. No row comes back for a worker that was buried.
update billing_worker set seen_at = now(), oldest_call = %(oldest)s, suspected_at = null
where tenant_id = wall.platform() and id = %(worker)s and swept_at is null
returning id
