,
-- The end of every statement that writes: the audit event and the answer are kept with what was written, or nothing is.
audited AS (
    INSERT INTO audit_events (id, actor_id, actor_role, action, entity, entity_id, before, after, request_id)
    SELECT
        request.event_id, actor.id, actor.role, event.action, event.entity, event.entity_id, event.before, event.after,
        request.request_id
    FROM event
    CROSS JOIN actor
    CROSS JOIN request
),
kept AS (
    INSERT INTO idempotency_keys (owner_id, route, key, fingerprint, answer, expires_at)
    SELECT
        request.owner, request.route, request.key, decode(request.fingerprint, 'hex'), written.document,
        coalesce(now() + request.lifetime, 'infinity')
    FROM written
    CROSS JOIN request
    WHERE request.key IS NOT NULL
)
SELECT
    caller.role,
    caller.unseen,
    claim.state,
    coalesce(claim.answer, written.document)::text AS written,
    CASE WHEN claim.state IN ('none', 'new') THEN to_json(facts)::text END AS facts
FROM caller
LEFT JOIN claim ON true
LEFT JOIN facts ON true
LEFT JOIN written ON true
