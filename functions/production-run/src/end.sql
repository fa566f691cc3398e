-- Ends a run. Stands between write_head.sql and write_tail.sql; $3 is the draft.
-- A run that has ended already is refused by the trigger of migration 16, which also writes the end and the summary.
draft AS (
    SELECT d.*
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (run_id uuid, status text)
),
target AS (
    SELECT r.id, run_json(r) AS document
    FROM production_runs r
    JOIN draft ON draft.run_id = r.id
),
ended AS (
    UPDATE production_runs
    SET status = draft.status
    FROM draft
    WHERE production_runs.id = draft.run_id AND $4::text::boolean
    RETURNING production_runs.id, run_json(production_runs) AS document
),
facts AS (
    SELECT EXISTS (SELECT FROM target) AS run_known FROM draft
),
written AS (
    SELECT document FROM ended
),
event AS (
    SELECT
        CASE ended.document ->> 'status' WHEN 'COMPLETED' THEN 'run.completed' ELSE 'run.cancelled' END AS action,
        'production_run' AS entity, ended.id AS entity_id, target.document::jsonb AS before, ended.document::jsonb AS after
    FROM ended
    JOIN target ON target.id = ended.id
)
