-- One lot, by id or by code, for a caller who exists.
-- $1 the caller's id; $2 the lot's id, if the segment can be one; $3 the segment as a code.
-- No row: the caller is unknown. A row without `id`: no such lot.
SELECT
    caller.role,
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
LEFT JOIN LATERAL (
    SELECT * FROM lots WHERE lots.id = $2::text::uuid
    UNION ALL
    SELECT * FROM lots WHERE lots.lot_code = $3::text
    LIMIT 1
) AS lot ON true
WHERE caller.id = $1::text::uuid
