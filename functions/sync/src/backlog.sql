-- Notes what a user's device still has to send. $1 the user's id; $2 how much.
INSERT INTO sync_backlogs (user_id, pending)
VALUES ($1::text::uuid, $2::text::int)
ON CONFLICT (user_id) DO UPDATE SET pending = excluded.pending, reported_at = now()
