-- A page of lots, newest first, for a caller who exists.
-- $1 the caller's id; $2 lot_type; $3 production_run_id; $4 status; $5 code_prefix; $6 created_from; $7 created_to;
-- $8 and $9 where the page before ended; $10 how many. No row: the caller is unknown. A row without `id`: no lot.
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
    SELECT *
    FROM lots
    WHERE ($2::text IS NULL OR lots.lot_type = $2::text)
        AND ($3::text IS NULL OR lots.production_run_id = $3::text::uuid)
        AND ($4::text IS NULL OR lots.status = $4::text)
        AND ($5::text IS NULL OR starts_with(lots.lot_code, $5::text))
        AND ($6::text IS NULL OR lots.created_at >= $6::text::timestamptz)
        AND ($7::text IS NULL OR lots.created_at < $7::text::timestamptz)
        AND ($8::text IS NULL OR (lots.created_at, lots.id) < ($8::text::timestamptz, $9::text::uuid))
    ORDER BY lots.created_at DESC, lots.id DESC
    LIMIT $10::text::int
) AS lot ON true
WHERE caller.id = $1::text::uuid
ORDER BY lot.created_at DESC, lot.id DESC
