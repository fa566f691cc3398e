-- Notes that a user is at work. $1 the user's id. Two calls at once note it once.
UPDATE users
SET last_seen = now()
WHERE id = $1::text::uuid AND coalesce(last_seen < now() - interval '1 minute', true)
