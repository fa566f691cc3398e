-- Who calls: a row, if the user exists. What follows is the function's own part of the statement.
-- $1 the caller's id. `unseen`: nobody has noted within the last minute that this user is at work.
WITH RECURSIVE caller AS (
    SELECT id, role, coalesce(last_seen < now() - interval '1 minute', true) AS unseen
    FROM users
    WHERE id = $1::text::uuid
)
