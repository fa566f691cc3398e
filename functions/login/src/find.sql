-- The account of an email, in whatever case it is written.
SELECT id::text, password_hash FROM users WHERE lower(email) = lower($1::text)
