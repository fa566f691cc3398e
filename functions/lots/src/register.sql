-- Registers a lot with its parents, all or nothing.
-- $1 the caller's id; $2 the roles that may; $3 the draft as JSON; $4 whether the body had no fault of its own.
-- No row: the caller is unknown. A row without `id`: nothing was written, the other columns say why.
-- The rules of a link are the triggers of lot_genealogy, which see the other writers' committed links.
WITH caller AS (
    SELECT id, role FROM users WHERE id = $1::text::uuid
),
draft AS (
    SELECT d.*
    FROM caller,
        jsonb_to_record($3::text::jsonb) AS d (
            id uuid, lot_code text, lot_type text, production_run_id uuid, phase_id uuid, operator_id uuid,
            weight_kg numeric(10, 2), temperature_c numeric(5, 1), metadata jsonb, parents jsonb
        )
    WHERE caller.role = ANY (string_to_array($2::text, ','))
        AND (d.operator_id = caller.id OR d.operator_id IS NULL OR caller.role IN ('ADMIN', 'MANAGER'))
),
-- Locked, so that a run that is being completed either waits for this lot or refuses it.
run AS (
    SELECT r.id, r.run_code, r.status
    FROM production_runs r
    JOIN draft ON draft.production_run_id = r.id
    FOR SHARE OF r
),
parent AS (
    SELECT wanted.place, wanted.link_id, wanted.quantity_used_kg, known.id AS lot_id
    FROM draft
    CROSS JOIN LATERAL jsonb_to_recordset(draft.parents) AS wanted (
        place int, link_id uuid, lot_id uuid, lot_code text, quantity_used_kg numeric(10, 2)
    )
    -- The new lot's own code finds the new lot, so that the trigger calls a link to itself by its name.
    LEFT JOIN LATERAL (
        SELECT id FROM lots WHERE id = wanted.lot_id
        UNION ALL
        SELECT id FROM lots WHERE lot_code = wanted.lot_code
        UNION ALL
        SELECT draft.id WHERE wanted.lot_code = draft.lot_code
        LIMIT 1
    ) AS known ON true
),
checked AS (
    SELECT
        draft.*,
        run.run_code,
        draft.operator_id IS NULL OR EXISTS (SELECT FROM users WHERE id = draft.operator_id) AS operator_known,
        draft.production_run_id IS NULL OR run.id IS NOT NULL AS run_known,
        draft.production_run_id IS NULL OR coalesce(run.status = 'ACTIVE', false) AS run_active,
        draft.phase_id IS NULL OR EXISTS (SELECT FROM phases WHERE id = draft.phase_id) AS phase_known,
        draft.metadata IS NULL OR metadata_fits(draft.metadata) AS metadata_fits,
        (SELECT string_agg(place::text, ',' ORDER BY place) FROM parent WHERE lot_id IS NULL) AS parents_unknown
    FROM draft
    LEFT JOIN run ON true
),
registered AS (
    INSERT INTO lots
        (id, lot_code, lot_type, production_run_id, phase_id, operator_id, weight_kg, temperature_c, metadata)
    SELECT id, lot_code, lot_type, production_run_id, phase_id, operator_id, weight_kg, temperature_c, metadata
    FROM checked
    WHERE $4::text::boolean AND operator_known AND run_active AND phase_known AND metadata_fits
        AND parents_unknown IS NULL
    ON CONFLICT (lot_code) DO NOTHING
    RETURNING *
),
linked AS (
    INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)
    SELECT parent.link_id, parent.lot_id, registered.id, parent.quantity_used_kg
    FROM registered
    CROSS JOIN parent
)
SELECT
    caller.role,
    checked.operator_known,
    checked.run_known,
    checked.run_active,
    checked.phase_known,
    checked.metadata_fits,
    checked.parents_unknown,
    checked.run_code,
    lot.id::text,
    lot.lot_code,
    lot.lot_type,
    lot.production_run_id::text,
    lot.phase_id::text,
    lot.operator_id::text,
    lot.weight_kg::numeric(10, 2)::text AS weight_kg,
    lot.temperature_c::numeric(5, 1)::text AS temperature_c,
    lot.metadata::text AS metadata,
    rfc3339(lot.created_at) AS created_at,
    lot.status,
    rfc3339(lot.updated_at) AS updated_at
FROM caller
LEFT JOIN checked ON true
LEFT JOIN registered AS lot ON true
