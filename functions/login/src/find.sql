-- The account of an email. Older data may hold an email twice: the one that can log in comes first.
SELECT id::text, password_hash
FROM users
WHERE email = $1::text
ORDER BY password_hash IS NULL, created_at, id
LIMIT 1
