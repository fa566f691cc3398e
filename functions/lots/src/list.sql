-- A page of lots, newest first. Follows caller.sql.
-- $2 lot_type; $3 production_run_id; $4 status; $5 code_prefix; $6 created_from; $7 created_to; $8 and $9 where the page before
-- ended; $10 how many. A row without `lot`: no lot.
SELECT caller.role, caller.unseen, page.lot::text AS lot
FROM caller
LEFT JOIN LATERAL (
    SELECT lot_json(lots) AS lot, lots.created_at, lots.id
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
) AS page ON true
ORDER BY page.created_at DESC, page.id DESC
