-- Starts a run. Stands between write_head.sql and write_tail.sql; $3 is the draft.
draft AS (
    SELECT d.*
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (
        id uuid, codes jsonb, scenario_id uuid, operator_id uuid, daily_target_kg numeric(10, 2)
    )
    WHERE d.operator_id = actor.id OR d.operator_id IS NULL OR actor.may_act_for_others
),
checked AS (
    SELECT
        draft.*,
        draft.scenario_id IS NULL OR EXISTS (SELECT FROM scenarios WHERE id = draft.scenario_id) AS scenario_known,
        draft.operator_id IS NULL OR EXISTS (SELECT FROM users WHERE id = draft.operator_id) AS operator_known,
        (
            SELECT wanted.code
            FROM jsonb_array_elements_text(draft.codes) WITH ORDINALITY AS wanted (code, place)
            WHERE NOT EXISTS (SELECT FROM production_runs WHERE run_code = wanted.code)
            ORDER BY wanted.place
            LIMIT 1
        ) AS run_code
    FROM draft
),
started AS (
    INSERT INTO production_runs (id, run_code, scenario_id, operator_id, daily_target_kg)
    SELECT id, run_code, scenario_id, operator_id, daily_target_kg
    FROM checked
    WHERE $4::text::boolean AND scenario_known AND operator_known AND run_code IS NOT NULL
    ON CONFLICT (run_code) DO NOTHING
    RETURNING id, run_json(production_runs) AS document
),
facts AS (
    SELECT scenario_known, operator_known FROM checked
),
written AS (
    SELECT document FROM started
),
event AS (
    SELECT 'run.started' AS action, 'production_run' AS entity, id AS entity_id, NULL::jsonb AS before, document::jsonb AS after
    FROM started
)
