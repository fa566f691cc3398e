-- Registers a lot with its parents, all or nothing. Stands between write_head.sql and write_tail.sql; $3 is the draft.
-- The rules of a link are the triggers of lot_genealogy, which see the other writers' committed links.
draft AS (
    SELECT d.*
    FROM actor,
        jsonb_to_record($3::text::jsonb) AS d (
            id uuid, lot_code text, lot_type text, production_run_id uuid, phase_id uuid, operator_id uuid,
            weight_kg numeric(10, 2), temperature_c numeric(5, 1), metadata jsonb, parents jsonb, recorded_at timestamptz
        )
    WHERE d.operator_id = actor.id OR d.operator_id IS NULL OR actor.may_act_for_others
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
        ARRAY(SELECT place FROM parent WHERE lot_id IS NULL ORDER BY place) AS parents_unknown
    FROM draft
    LEFT JOIN run ON true
),
registered AS (
    INSERT INTO lots
        (id, lot_code, lot_type, production_run_id, phase_id, operator_id, weight_kg, temperature_c, metadata, created_at)
    SELECT
        id, lot_code, lot_type, production_run_id, phase_id, operator_id, weight_kg, temperature_c, metadata,
        coalesce(recorded_at, now())
    FROM checked
    WHERE $4::text::boolean AND operator_known AND run_active AND phase_known AND metadata_fits
        AND parents_unknown = '{}'
    ON CONFLICT (lot_code) DO NOTHING
    RETURNING id, lot_json(lots) AS document
),
linked AS (
    INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)
    SELECT parent.link_id, parent.lot_id, registered.id, parent.quantity_used_kg
    FROM registered
    CROSS JOIN parent
    RETURNING link_json(lot_genealogy) AS document
),
facts AS (
    SELECT operator_known, run_known, run_active, phase_known, metadata_fits, parents_unknown, run_code
    FROM checked
),
written AS (
    SELECT document FROM registered
),
event AS (
    SELECT
        'lot.registered' AS action, 'lot' AS entity, registered.id AS entity_id, NULL::jsonb AS before,
        registered.document::jsonb || jsonb_build_object('parents', (SELECT coalesce(json_agg(document), '[]') FROM linked)) AS after
    FROM registered
)
