-- Changes a lot. Stands between write_head.sql and write_tail.sql; $3 is the draft.
draft AS (
    SELECT d.*
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (
        target jsonb, given jsonb, phase_id uuid, weight_kg numeric(10, 2), temperature_c numeric(5, 1), metadata jsonb
    )
),
-- Locked, so that nobody changes it between the look at its state and the change.
target AS (
    SELECT lots.id, rfc3339(lots.updated_at) AS etag, lot_json(lots) AS document
    FROM draft
    CROSS JOIN LATERAL (
        SELECT id FROM lots WHERE id = (draft.target ->> 'id')::uuid
        UNION ALL
        SELECT id FROM lots WHERE lot_code = draft.target ->> 'code'
        LIMIT 1
    ) AS named
    JOIN lots ON lots.id = named.id
    FOR NO KEY UPDATE OF lots
),
checked AS (
    SELECT
        draft.*,
        target.id,
        target.id IS NOT NULL AS lot_known,
        draft.phase_id IS NULL OR EXISTS (SELECT FROM phases WHERE id = draft.phase_id) AS phase_known,
        metadata_fits(draft.metadata) AS metadata_fits,
        jsonb_typeof(draft.target -> 'etags') = 'null' OR coalesce(draft.target -> 'etags' ? target.etag, false) AS fresh
    FROM draft
    LEFT JOIN target ON true
),
changed AS MATERIALIZED (
    SELECT id, lot_change(id, given, phase_id, weight_kg, temperature_c, metadata) AS document
    FROM checked
    WHERE lot_known AND $4::text::boolean AND phase_known AND metadata_fits AND fresh
),
facts AS (
    SELECT lot_known, phase_known, metadata_fits FROM checked
),
written AS (
    SELECT document FROM changed
),
event AS (
    SELECT
        'lot.changed' AS action, 'lot' AS entity, changed.id AS entity_id, target.document::jsonb AS before,
        changed.document::jsonb AS after
    FROM changed
    JOIN target ON target.id = changed.id
)
