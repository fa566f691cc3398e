-- Who is at work, and what waits on devices without a network.

-- When a user last called, to the minute: it is written at most once a minute.
ALTER TABLE users ADD COLUMN IF NOT EXISTS last_seen timestamptz;

-- For a statement that has locked the user (migration 15 says why).
CREATE FUNCTION user_log_in(person uuid) RETURNS SETOF users
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE users SET last_login = now(), last_seen = now() WHERE id = person RETURNING users.*;
END;

-- What a user's devices still had to send when they last synchronised.
CREATE TABLE sync_backlogs (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    pending integer NOT NULL CHECK (pending >= 0),
    reported_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE ON sync_backlogs TO flowviz_app;
