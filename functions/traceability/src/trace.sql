-- A lot with its direct inputs and outputs, each lot once. Follows caller.sql.
-- $2 the lot's code. A row without `trace`: no such lot.
SELECT
    caller.role,
    caller.unseen,
    CASE WHEN central.id IS NOT NULL THEN
        json_build_object(
            'central', lot_json(central),
            'parents', (
                SELECT coalesce(json_agg(lot_json(lots) ORDER BY lots.lot_code), '[]')
                FROM lots
                WHERE id IN (SELECT g.parent_lot_id FROM lot_genealogy g WHERE g.child_lot_id = central.id)
            ),
            'children', (
                SELECT coalesce(json_agg(lot_json(lots) ORDER BY lots.lot_code), '[]')
                FROM lots
                WHERE id IN (SELECT g.child_lot_id FROM lot_genealogy g WHERE g.parent_lot_id = central.id)
            )
        )::text
    END AS trace
FROM caller
LEFT JOIN lots AS central ON central.lot_code = $2::text
