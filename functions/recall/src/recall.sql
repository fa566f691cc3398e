-- All that a recall needs. Follows caller.sql.
-- $2 the lot's code. A row without `recall`: no such lot.
-- Each lot is looked at once, whatever cycles old data may have. OFFSET 0 keeps the planner on the indexes.
, root AS (
    SELECT lots.* FROM lots WHERE lot_code = $2::text
),
below (lot_id) AS (
    SELECT id FROM root
    UNION
    SELECT next.lot_id
    FROM below
    CROSS JOIN LATERAL (
        SELECT g.child_lot_id AS lot_id FROM lot_genealogy g WHERE g.parent_lot_id = below.lot_id OFFSET 0
    ) AS next
),
above (lot_id) AS (
    SELECT id FROM root
    UNION
    SELECT next.lot_id
    FROM above
    CROSS JOIN LATERAL (
        SELECT g.parent_lot_id AS lot_id FROM lot_genealogy g WHERE g.child_lot_id = above.lot_id OFFSET 0
    ) AS next
),
affected AS (
    SELECT
        lot.*,
        (SELECT sum(g.quantity_used_kg) FROM lot_genealogy g WHERE g.child_lot_id = below.lot_id) AS inputs_kg,
        (SELECT sum(g.quantity_used_kg) FROM lot_genealogy g WHERE g.parent_lot_id = below.lot_id) AS used_kg
    FROM below
    CROSS JOIN LATERAL (
        SELECT id, lot_code, lot_type, weight_kg, CASE WHEN lot_type = 'FG' THEN lot_json(lots) END AS document
        FROM lots WHERE id = below.lot_id OFFSET 0
    ) AS lot
)
SELECT
    caller.role,
    caller.unseen,
    json_build_object(
        'lot', lot_json(lots),
        'raw', (
            SELECT coalesce(json_agg(lot.document ORDER BY lot.lot_code), '[]')
            FROM above
            CROSS JOIN LATERAL (
                SELECT lot_code, lot_type, lot_json(lots) AS document FROM lots WHERE id = above.lot_id OFFSET 0
            ) AS lot
            WHERE lot.lot_type = 'RAW'
        ),
        'below', (
            SELECT json_agg(json_build_object(
                'id', id, 'lot_type', lot_type, 'weight_kg', weight_kg, 'inputs_kg', inputs_kg, 'used_kg', used_kg, 'lot', document
            ) ORDER BY lot_code)
            FROM affected
        ),
        'links', (
            SELECT coalesce(json_agg(json_build_array(below.lot_id, link.child_lot_id, link.quantity_used_kg)), '[]')
            FROM below
            CROSS JOIN LATERAL (
                SELECT g.child_lot_id, g.quantity_used_kg FROM lot_genealogy g WHERE g.parent_lot_id = below.lot_id OFFSET 0
            ) AS link
        )
    )::text AS recall
FROM caller
JOIN lots ON lots.lot_code = $2::text
UNION ALL
SELECT caller.role, caller.unseen, NULL
FROM caller
WHERE NOT EXISTS (SELECT FROM root)
