-- Notes the login of a user, and gives the account as it is now.
-- $1 the user's id; $2 the audit event's id; $3 the request's id.
WITH before AS (
    SELECT id, last_login FROM users WHERE id = $1::text::uuid FOR NO KEY UPDATE
),
welcomed AS MATERIALIZED (
    SELECT person.id, person.role, person.last_login, user_json(person) AS person
    FROM before
    CROSS JOIN LATERAL user_log_in(before.id) AS person
),
audited AS (
    INSERT INTO audit_events (id, actor_id, actor_role, action, entity, entity_id, before, after, request_id)
    SELECT
        $2::text::uuid, welcomed.id, welcomed.role, 'user.logged_in', 'user', welcomed.id,
        jsonb_build_object('last_login', rfc3339(before.last_login)),
        jsonb_build_object('last_login', rfc3339(welcomed.last_login)),
        $3::text
    FROM welcomed
    CROSS JOIN before
)
SELECT person::text AS person FROM welcomed
