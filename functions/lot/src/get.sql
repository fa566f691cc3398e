-- One lot, by id or by code. Follows caller.sql.
-- $2 the lot's id, if the segment can be one; $3 the segment as a code. A row without `lot`: no such lot.
SELECT caller.role, caller.unseen, found.lot::text AS lot
FROM caller
LEFT JOIN LATERAL (
    SELECT lot_json(lots) AS lot FROM lots WHERE lots.id = $2::text::uuid
    UNION ALL
    SELECT lot_json(lots) FROM lots WHERE lots.lot_code = $3::text
    LIMIT 1
) AS found ON true
