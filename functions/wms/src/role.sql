-- The caller's role. No row: the caller is unknown.
SELECT role FROM users WHERE id = $1::text::uuid
