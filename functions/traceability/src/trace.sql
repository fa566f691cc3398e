-- A lot with its direct inputs and outputs, each lot once, for a caller who exists.
-- $1 the caller's id; $2 the lot's code. No row: the caller is unknown. A row without `id`: no such lot.
-- `side` is central, parent or child.
WITH central AS (
    SELECT id FROM lots WHERE lot_code = $2::text
),
related AS (
    SELECT 0 AS place, 'central' AS side, central.id AS lot_id FROM central
    UNION
    SELECT 1, 'parent', g.parent_lot_id FROM central JOIN lot_genealogy g ON g.child_lot_id = central.id
    UNION
    SELECT 2, 'child', g.child_lot_id FROM central JOIN lot_genealogy g ON g.parent_lot_id = central.id
),
lot AS (
    SELECT related.place, related.side, lots.*
    FROM related
    JOIN lots ON lots.id = related.lot_id
)
SELECT
    caller.role,
    lot.side,
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
FROM users AS caller
LEFT JOIN lot ON true
WHERE caller.id = $1::text::uuid
ORDER BY lot.place, lot.lot_code
