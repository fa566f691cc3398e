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
