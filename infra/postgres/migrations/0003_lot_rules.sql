-- What must hold for a lot whoever writes: its status follows its decisions, its metadata has a bound, and its links keep
-- the rules of traceability.
-- The rules are statement triggers. Under READ COMMITTED each statement of a plpgsql function takes a new snapshot, so what
-- is read after the row locks includes everything that was committed while waiting for them. A single data-modifying CTE
-- could not promise that: all its parts share the snapshot from before the wait.
--
-- A broken rule raises an SQLSTATE of the class WM, with a message that is safe to show to a client:
--   WM001 link to itself, WM002 cycle, WM003 rejected parent, WM004 parent overdrawn.
-- A link that is there already is the unique key of migration 2.

-- RFC 3339 in UTC, to the microsecond, as it leaves the API.
CREATE FUNCTION rfc3339(at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- === Status ===

-- The newest decision of each gate counts; decisions that name no gate count as one more gate.
CREATE FUNCTION lot_status(lot uuid) RETURNS text
LANGUAGE sql STABLE
RETURN (
    SELECT CASE
        WHEN bool_or(newest.decision = 'FAIL') THEN 'REJECTED'
        WHEN bool_or(newest.decision = 'HOLD') THEN 'ON_HOLD'
        WHEN bool_or(newest.decision = 'PASS') THEN 'RELEASED'
        ELSE 'PENDING'
    END
    FROM (
        SELECT DISTINCT ON (d.qc_gate_id) d.decision
        FROM qc_decisions d
        WHERE d.lot_id = lot
        ORDER BY d.qc_gate_id, d.decided_at DESC, d.id DESC
    ) AS newest
);

-- Kept on the row, so that lists can filter by it and a link can check it under the row's lock.
ALTER TABLE lots ADD COLUMN status text NOT NULL DEFAULT 'PENDING'
    CONSTRAINT lots_status_check CHECK (status IN ('PENDING', 'RELEASED', 'ON_HOLD', 'REJECTED'));

UPDATE lots SET status = lot_status(id) WHERE EXISTS (SELECT FROM qc_decisions d WHERE d.lot_id = lots.id);

CREATE INDEX lots_status_created_at_id ON lots (status, created_at, id);
CREATE INDEX lots_run_created_at_id ON lots (production_run_id, created_at, id);
CREATE INDEX qc_decisions_decided_at_id ON qc_decisions (decided_at, id);

-- A PASS at a CCP outside its limits, taken on the authority of a manager.
ALTER TABLE qc_decisions ADD COLUMN ccp_override boolean NOT NULL DEFAULT false;

CREATE FUNCTION qc_decisions_set_status() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM lots WHERE id IN (SELECT lot_id FROM recorded) ORDER BY id FOR NO KEY UPDATE;

    UPDATE lots
    SET status = decided.status, updated_at = now()
    FROM (SELECT lot_id, lot_status(lot_id) AS status FROM recorded GROUP BY lot_id) AS decided
    WHERE lots.id = decided.lot_id AND lots.status <> decided.status;

    RETURN NULL;
END
$$;

CREATE TRIGGER qc_decisions_set_status
    AFTER INSERT ON qc_decisions
    REFERENCING NEW TABLE AS recorded
    FOR EACH STATEMENT EXECUTE FUNCTION qc_decisions_set_status();

-- === Metadata ===

-- Bounded by the octets that a reader gets: jsonb writes numbers out, so five octets of a request can be 309 here, and a page of
-- lots would outgrow the memory of whoever lists them.
CREATE FUNCTION metadata_fits(metadata jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN octet_length(metadata::text) <= 16384;

CREATE FUNCTION lots_refuse_metadata() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The metadata of lot % has more than 16 KiB.', NEW.lot_code USING ERRCODE = 'check_violation';
END
$$;

-- A trigger and no CHECK, which would also refuse every later change of a lot that is here already and has more: its status, too.
CREATE TRIGGER lots_metadata_fits
    BEFORE INSERT OR UPDATE OF metadata ON lots
    FOR EACH ROW WHEN (NOT metadata_fits(NEW.metadata))
    EXECUTE FUNCTION lots_refuse_metadata();

-- === Links ===

CREATE FUNCTION lot_genealogy_check() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    broken record;
BEGIN
    IF NOT EXISTS (SELECT FROM linked) THEN
        RETURN NULL;
    END IF;

    SELECT lots.lot_code INTO broken
    FROM linked JOIN lots ON lots.id = linked.child_lot_id
    WHERE linked.parent_lot_id = linked.child_lot_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Lot % can''t be its own parent.', broken.lot_code USING ERRCODE = 'WM001';
    END IF;

    -- Both ends, in the order of their ids: writers of the same lots wait in line instead of in a circle.
    -- Links and decisions are the writers; a foreign key's own lock (KEY SHARE) doesn't collide with this one.
    PERFORM FROM lots
    WHERE id IN (SELECT parent_lot_id FROM linked UNION SELECT child_lot_id FROM linked)
    ORDER BY id FOR NO KEY UPDATE;

    -- A link into a lot without children closes no circle, and while we hold that lot's lock it gets none.
    -- Any other link waits for its like: two of them, far apart, could close a circle that neither sees.
    IF EXISTS (SELECT FROM lot_genealogy g WHERE g.parent_lot_id IN (SELECT child_lot_id FROM linked)) THEN
        PERFORM pg_advisory_xact_lock(hashtext('lot_genealogy'), 1);

        -- The walk down from each child. UNION keeps it from going round in a cycle of older data; OFFSET 0 keeps the planner
        -- from reading the whole table at each step, as it would just after many links were loaded.
        SELECT child.lot_code INTO broken
        FROM linked JOIN lots child ON child.id = linked.child_lot_id
        WHERE EXISTS (
            WITH RECURSIVE below (lot_id) AS (
                SELECT linked.child_lot_id
                UNION
                SELECT next.child_lot_id
                FROM below
                CROSS JOIN LATERAL (
                    SELECT g.child_lot_id FROM lot_genealogy g WHERE g.parent_lot_id = below.lot_id OFFSET 0
                ) AS next
            )
            SELECT FROM below WHERE below.lot_id = linked.parent_lot_id
        )
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'Lot % would become its own ancestor.', broken.lot_code USING ERRCODE = 'WM002';
        END IF;
    END IF;

    SELECT lots.lot_code INTO broken
    FROM lots
    WHERE lots.id IN (SELECT parent_lot_id FROM linked) AND lots.status = 'REJECTED'
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Lot % is rejected and can''t be used.', broken.lot_code USING ERRCODE = 'WM003';
    END IF;

    -- Scales differ: 0.5 % of the parent's weight or 0.05 kg may be used beyond it. A parent of unknown weight has no limit.
    SELECT parent.lot_code,
           (parent.weight_kg - used.total_kg + asked.total_kg)::numeric(12, 2) AS left_kg,
           asked.total_kg::numeric(12, 2) AS asked_kg
    INTO broken
    FROM (SELECT parent_lot_id, sum(quantity_used_kg) AS total_kg FROM linked GROUP BY parent_lot_id) AS asked
    JOIN lots parent ON parent.id = asked.parent_lot_id
    CROSS JOIN LATERAL (
        SELECT sum(g.quantity_used_kg) AS total_kg FROM lot_genealogy g WHERE g.parent_lot_id = parent.id
    ) AS used
    WHERE used.total_kg > parent.weight_kg + greatest(parent.weight_kg * 0.005, 0.05)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'Lot % has % kg left, less than the % kg asked for.',
            broken.lot_code, greatest(broken.left_kg, 0.00), broken.asked_kg USING ERRCODE = 'WM004';
    END IF;

    RETURN NULL;
END
$$;

CREATE TRIGGER lot_genealogy_check
    AFTER INSERT ON lot_genealogy
    REFERENCING NEW TABLE AS linked
    FOR EACH STATEMENT EXECUTE FUNCTION lot_genealogy_check();
