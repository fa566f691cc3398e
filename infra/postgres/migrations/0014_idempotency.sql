-- Writes that may be repeated: the answer of a write is kept under the key that its client gave it, in the write's own transaction.
-- So whoever finds a key here knows that its write is committed, and whoever finds none knows that it is not.

CREATE TABLE idempotency_keys (
    -- The user whose key it is; the items of /api/sync share one space of keys, under the nil UUID.
    owner_id uuid NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    -- HMAC-SHA-256 of the request: the same key with another request is a mistake of the client's.
    fingerprint bytea NOT NULL,
    -- As it was sent.
    answer json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (owner_id, route, key)
);

CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at) WHERE expires_at < 'infinity';

-- Takes a key for the rest of the transaction. `state`: none (no key was given), new (go on), running (another transaction has the
-- key, and this one doesn't wait for it), reused (it was for another request), replayed (with the answer that was given then).
-- Whoever waits holds no other lock yet, so nobody waits in a circle.
-- Volatile, so that each of its statements sees what others committed while this one began: a key that its first holder has just
-- released is found with its answer.
CREATE FUNCTION idempotency_claim(
    owner uuid, for_route text, wanted text, waits boolean, request bytea, OUT state text, OUT answer json
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lock bigint := hashtextextended(owner || ' ' || for_route || ' ' || wanted, 0);
    kept idempotency_keys;
BEGIN
    IF wanted IS NULL THEN
        state := 'none';
        RETURN;
    END IF;
    IF waits THEN
        PERFORM pg_advisory_xact_lock(lock);
    ELSIF NOT pg_try_advisory_xact_lock(lock) THEN
        state := 'running';
        RETURN;
    END IF;
    SELECT * INTO kept FROM idempotency_keys k WHERE k.owner_id = owner AND k.route = for_route AND k.key = wanted;
    IF NOT FOUND THEN
        state := 'new';
    ELSIF kept.expires_at <= now() THEN
        DELETE FROM idempotency_keys k WHERE k.owner_id = owner AND k.route = for_route AND k.key = wanted;
        state := 'new';
    ELSIF kept.fingerprint <> request THEN
        state := 'reused';
    ELSE
        state := 'replayed';
        answer := kept.answer;
    END IF;
END
$$;

GRANT SELECT, INSERT, DELETE ON idempotency_keys TO flowviz_app;
