-- Makes a user. Stands between write_head.sql and write_tail.sql; $3 is the draft.
draft AS (
    SELECT d.*
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (id uuid, email text, full_name text, role text, password_hash text)
),
created AS (
    INSERT INTO users (id, email, full_name, role, password_hash)
    SELECT id, email, full_name, role, password_hash FROM draft WHERE $4::text::boolean
    ON CONFLICT (lower(email)) DO NOTHING
    RETURNING id, user_json(users) AS document
),
facts AS (
    SELECT FROM draft
),
written AS (
    SELECT document FROM created
),
event AS (
    SELECT 'user.created' AS action, 'user' AS entity, id AS entity_id, NULL::jsonb AS before, document::jsonb AS after
    FROM created
)
