-- A page of audit events, newest first. Follows caller.sql.
-- $2 entity; $3 entity_id; $4 actor_id; $5 from; $6 to; $7 and $8 where the page before ended; $9 how many.
-- A row without `event`: none.
SELECT caller.role, caller.unseen, page.event::text AS event
FROM caller
LEFT JOIN LATERAL (
    SELECT
        audit_event_json(e) || jsonb_build_object('prev_hash', encode(c.prev_hash, 'hex'), 'hash', encode(c.hash, 'hex')) AS event,
        e.at,
        e.id
    FROM audit_events e
    LEFT JOIN audit_chain c ON c.event_id = e.id
    WHERE ($2::text IS NULL OR e.entity = $2::text)
        AND ($3::text IS NULL OR e.entity_id = $3::text::uuid)
        AND ($4::text IS NULL OR e.actor_id = $4::text::uuid)
        AND ($5::text IS NULL OR e.at >= $5::text::timestamptz)
        AND ($6::text IS NULL OR e.at < $6::text::timestamptz)
        AND ($7::text IS NULL OR (e.at, e.id) < ($7::text::timestamptz, $8::text::uuid))
    ORDER BY e.at DESC, e.id DESC
    LIMIT $9::text::int
) AS page ON true
ORDER BY page.at DESC, page.id DESC
