-- A page of users, newest first. Follows caller.sql.
-- $2 and $3 where the page before ended; $4 how many. A row without `person`: no user.
SELECT caller.role, caller.unseen, page.person::text AS person
FROM caller
LEFT JOIN LATERAL (
    SELECT user_json(users) AS person, users.created_at, users.id
    FROM users
    WHERE $2::text IS NULL OR (users.created_at, users.id) < ($2::text::timestamptz, $3::text::uuid)
    ORDER BY users.created_at DESC, users.id DESC
    LIMIT $4::text::int
) AS page ON true
ORDER BY page.created_at DESC, page.id DESC
