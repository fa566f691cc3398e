-- What may change of a lot and of a user, and what must hold then.

-- === Lots ===

-- `updated_at` grows with every change of a lot, and never stands still: it is the lot's ETag, so that nobody overwrites what they
-- haven't seen.
CREATE FUNCTION lots_set_updated_at() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at + interval '1 microsecond');
    RETURN NEW;
END
$$;

CREATE TRIGGER lots_set_updated_at
    BEFORE UPDATE ON lots
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION lots_set_updated_at();

-- A lot can't weigh less than what went out of it: the rule of lot_genealogy_check, from the other side.
CREATE FUNCTION lots_keep_weight() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    used_kg numeric;
BEGIN
    SELECT sum(g.quantity_used_kg) INTO used_kg FROM lot_genealogy g WHERE g.parent_lot_id = NEW.id;
    IF used_kg > NEW.weight_kg + greatest(NEW.weight_kg * 0.005, 0.05) THEN
        RAISE EXCEPTION 'Lot % can''t weigh % kg: % kg of it are used already.', NEW.lot_code, NEW.weight_kg, used_kg
            USING ERRCODE = 'WM004';
    END IF;
    RETURN NEW;
END
$$;

-- Before the row is written, and after it is locked: who links to this lot waits, and whoever linked before is seen.
CREATE TRIGGER lots_keep_weight
    BEFORE UPDATE OF weight_kg ON lots
    FOR EACH ROW WHEN (NEW.weight_kg IS DISTINCT FROM OLD.weight_kg)
    EXECUTE FUNCTION lots_keep_weight();

-- === One row, locked and then changed ===

-- A statement that has locked a row to look at it changes it by one of these, which see the row as it was locked. An UPDATE in the
-- statement itself would set out from the version that the statement's snapshot knows; while others refer to the row (a foreign key
-- locks what it refers to), PostgreSQL then lets the writers wait for each other until it calls it a deadlock.

-- The fields that are given; the others stay.
CREATE FUNCTION lot_change(
    lot uuid, given jsonb, phase_id uuid, weight_kg numeric, temperature_c numeric, metadata jsonb
) RETURNS json
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE lots
    SET phase_id = CASE WHEN given ? 'phase_id' THEN lot_change.phase_id ELSE lots.phase_id END,
        weight_kg = CASE WHEN given ? 'weight_kg' THEN lot_change.weight_kg ELSE lots.weight_kg END,
        temperature_c = CASE WHEN given ? 'temperature_c' THEN lot_change.temperature_c ELSE lots.temperature_c END,
        metadata = CASE WHEN given ? 'metadata' THEN lot_change.metadata ELSE lots.metadata END
    WHERE id = lot
    RETURNING lot_json(lots);
END;

CREATE FUNCTION user_change_role(person uuid, new_role text) RETURNS json
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    UPDATE users SET role = new_role WHERE id = person RETURNING user_json(users);
END;
