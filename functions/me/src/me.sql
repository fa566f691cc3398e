-- The caller as a user. Follows caller.sql.
SELECT caller.role, caller.unseen, user_json(users)::text AS person
FROM caller
JOIN users ON users.id = caller.id
