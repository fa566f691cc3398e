-- A production run ends once, and what it came to is written down with its end.

CREATE INDEX production_runs_started_at_id ON production_runs (started_at, id);

-- Where every run stands, and how much of the day's target it made. Decisions are those about the run's lots, whoever took them.
CREATE FUNCTION run_summary(run uuid, started_at timestamptz, ended_at timestamptz) RETURNS jsonb
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    WITH made AS (
        SELECT id, lot_type, weight_kg FROM lots WHERE production_run_id = run
    ),
    total AS (
        SELECT count(*) AS lots, coalesce(sum(weight_kg), 0)::numeric(12, 2) AS kg FROM made
    ),
    by_type AS (
        SELECT jsonb_object_agg(known.lot_type, coalesce(counted.lots, 0)) AS lots
        FROM unnest(ARRAY['RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG']) AS known (lot_type)
        LEFT JOIN (SELECT lot_type, count(*) AS lots FROM made GROUP BY lot_type) AS counted USING (lot_type)
    ),
    decided AS (
        SELECT
            count(*) FILTER (WHERE d.decision = 'PASS') AS pass,
            count(*) FILTER (WHERE d.decision = 'HOLD') AS hold,
            count(*) FILTER (WHERE d.decision = 'FAIL') AS fail
        FROM made JOIN qc_decisions d ON d.lot_id = made.id
    ),
    lasted AS (
        SELECT greatest(extract(epoch FROM ended_at - started_at), 0) AS seconds
    )
    SELECT jsonb_build_object(
        'duration_minutes', floor(lasted.seconds / 60)::bigint,
        'total_lots', total.lots,
        'total_kg', total.kg::text,
        'lots_by_type', by_type.lots,
        'qc_pass', decided.pass,
        'qc_hold', decided.hold,
        'qc_fail', decided.fail,
        'kg_per_hour', CASE WHEN lasted.seconds > 0 THEN (total.kg * 3600 / lasted.seconds)::numeric(14, 2)::text END
    )
    FROM total, by_type, decided, lasted;
END;

-- On the row's lock, which waits for the lots that are being registered in the run: all of them are in the summary, and none comes after.
CREATE FUNCTION production_runs_end() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'ACTIVE' THEN
        RAISE EXCEPTION 'Run % is % already.', OLD.run_code, lower(OLD.status) USING ERRCODE = 'WM005';
    END IF;
    NEW.ended_at := clock_timestamp();
    IF NEW.status = 'COMPLETED' THEN
        NEW.summary := run_summary(NEW.id, NEW.started_at, NEW.ended_at);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER production_runs_end
    BEFORE UPDATE OF status ON production_runs
    FOR EACH ROW EXECUTE FUNCTION production_runs_end();
