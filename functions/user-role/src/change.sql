-- Gives a user another role. Stands between write_head.sql and write_tail.sql; $3 is the draft.
draft AS (
    SELECT d.*
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (user_id uuid, role text)
),
-- The user and the administrators, locked in the order of their ids: two administrators who dismiss each other wait in line, and the
-- second finds that the first is none any more. What it then says of the user was true just before the change.
locked AS (
    SELECT users.id, users.role, user_json(users) AS document
    FROM users, draft
    WHERE users.role = 'ADMIN' OR users.id = draft.user_id
    ORDER BY users.id
    FOR NO KEY UPDATE OF users
),
target AS (
    SELECT locked.id, locked.document
    FROM locked
    JOIN draft ON draft.user_id = locked.id
),
changed AS MATERIALIZED (
    SELECT target.id, user_change_role(target.id, draft.role) AS document
    FROM target
    CROSS JOIN draft
    WHERE $4::text::boolean
        AND (draft.role = 'ADMIN' OR EXISTS (SELECT FROM locked WHERE locked.role = 'ADMIN' AND locked.id <> target.id))
),
facts AS (
    SELECT EXISTS (SELECT FROM target) AS user_known FROM draft
),
written AS (
    SELECT document FROM changed
),
event AS (
    SELECT
        'user.role_changed' AS action, 'user' AS entity, changed.id AS entity_id, target.document::jsonb AS before,
        changed.document::jsonb AS after
    FROM changed
    JOIN target ON target.id = changed.id
)
