-- The links to a lot's parents. Follows caller.sql.
-- $2 the lot's id, if the segment can be one; $3 the segment as a code. A row without `lot_id`: no such lot; one without `link`: no parent.
SELECT caller.role, caller.unseen, child.id::text AS lot_id, found.link::text AS link
FROM caller
LEFT JOIN LATERAL (
    SELECT id FROM lots WHERE id = $2::text::uuid
    UNION ALL
    SELECT id FROM lots WHERE lot_code = $3::text
    LIMIT 1
) AS child ON true
LEFT JOIN LATERAL (
    SELECT link_json(g) AS link, g.linked_at, g.id FROM lot_genealogy g WHERE g.child_lot_id = child.id
) AS found ON true
ORDER BY found.linked_at DESC, found.id DESC
