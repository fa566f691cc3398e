-- Notes the login of a user and returns the account as it is now.
UPDATE users
SET last_login = now()
WHERE id = $1::text::uuid
RETURNING
    id::text, email, full_name, role, rfc3339(created_at) AS created_at, rfc3339(last_login) AS last_login
