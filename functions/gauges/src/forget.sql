-- Forgets idempotency keys whose time is over, so many at a time that nobody waits for it.
DELETE FROM idempotency_keys
WHERE (owner_id, route, key) IN (
    SELECT owner_id, route, key FROM idempotency_keys WHERE expires_at < now() ORDER BY expires_at LIMIT 10000
)
