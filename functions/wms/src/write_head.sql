-- The beginning of every statement that writes: who asks, and whether the request's key is free.
-- $1 the caller's id; $2 the roles that may; $3 the draft as JSON; $4 whether the body had no fault of its own; $5 the request.
-- What follows is the function's own part. It starts from `actor`, which is empty where nothing may be written, and makes
--   facts    one row: what stands in the way, for an answer that says so;
--   written  the document of the answer, where something was written;
--   event    action, entity, entity_id, before, after: the audit event of what was written.
WITH caller AS (
    SELECT id, role, coalesce(last_seen < now() - interval '1 minute', true) AS unseen
    FROM users
    WHERE id = $1::text::uuid
),
request AS (
    SELECT r.*
    FROM jsonb_to_record($5::text::jsonb) AS r (
        event_id uuid, request_id text, owner uuid, route text, key text, waits boolean, fingerprint text, lifetime interval
    )
),
-- A body with faults takes no key: it writes nothing.
claim AS MATERIALIZED (
    SELECT claimed.state, claimed.answer
    FROM caller
    CROSS JOIN request
    CROSS JOIN LATERAL idempotency_claim(
        request.owner, request.route, CASE WHEN $4::text::boolean THEN request.key END, request.waits,
        decode(request.fingerprint, 'hex')
    ) AS claimed
    WHERE caller.role = ANY (string_to_array($2::text, ','))
),
actor AS (
    SELECT caller.id, caller.role, caller.role IN ('ADMIN', 'MANAGER') AS may_act_for_others
    FROM caller
    CROSS JOIN claim
    WHERE claim.state IN ('none', 'new')
),
