-- The audit trail: one event for every write, in the write's own transaction, and a chain of hashes over them all. Whoever changes,
-- removes or slips in an event breaks the chain, and `flowviz audit verify` says where.

CREATE TABLE audit_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    at timestamptz NOT NULL DEFAULT now(),
    -- Who wrote, and with which role at that time. No foreign key: the trail outlives what it speaks of.
    actor_id uuid,
    actor_role text,
    action text NOT NULL,
    entity text NOT NULL,
    entity_id uuid NOT NULL,
    before jsonb,
    after jsonb,
    request_id text
);

CREATE INDEX audit_events_at_id ON audit_events (at, id);
CREATE INDEX audit_events_entity_at_id ON audit_events (entity_id, at, id);
CREATE INDEX audit_events_actor_at_id ON audit_events (actor_id, at, id);

-- One link for each event, in the order of the commits. `hash` is SHA-256 over the previous hash (32 zeros before the first event)
-- and the event's canonical JSON.
CREATE TABLE audit_chain (
    seq bigint PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE REFERENCES audit_events (id),
    prev_hash bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);

-- What is hashed: the event without its hashes.
CREATE FUNCTION audit_event_json(event audit_events) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'id', event.id,
    'at', rfc3339(event.at),
    'actor_id', event.actor_id,
    'actor_role', event.actor_role,
    'action', event.action,
    'entity', event.entity,
    'entity_id', event.entity_id,
    'before', event.before,
    'after', event.after,
    'request_id', event.request_id
);

-- Runs at the commit, after every other trigger: writers hold the chain's lock only while they commit, and never wait for a row
-- while they hold it. With its owner's rights, since nobody else may write to the chain.
CREATE FUNCTION audit_chain_append() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    content bytea := convert_to(canonical_json(audit_event_json(NEW)), 'UTF8');
    last audit_chain;
    prev_hash bytea;
BEGIN
    -- "audi" and "t": any two numbers would do, as long as nobody else takes them.
    PERFORM pg_advisory_xact_lock(x'61756469'::int, x'74'::int);
    SELECT * INTO last FROM audit_chain ORDER BY seq DESC LIMIT 1;
    prev_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    INSERT INTO audit_chain (seq, event_id, prev_hash, hash)
    VALUES (coalesce(last.seq, 0) + 1, NEW.id, prev_hash, sha256(prev_hash || content));
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION audit_chain_append() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER audit_events_chain
    AFTER INSERT ON audit_events
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION audit_chain_append();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_chain;

CREATE TRIGGER audit_events_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_append_only;

CREATE TRIGGER audit_chain_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_chain ENABLE ALWAYS TRIGGER audit_chain_append_only;

GRANT SELECT, INSERT ON audit_events TO flowviz_app;
GRANT SELECT ON audit_chain TO flowviz_app;
