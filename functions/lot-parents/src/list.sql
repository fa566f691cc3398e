-- A page of the links to a lot's parents, newest first. Follows caller.sql.
-- $2 the lot's id, if the segment can be one; $3 the segment as a code; $4 and $5 where the page before ended; $6 how many.
-- A row without `lot_id`: no such lot; one without `link`: no parent.
SELECT caller.role, caller.unseen, child.id::text AS lot_id, page.link::text AS link
FROM caller
LEFT JOIN LATERAL (
    SELECT id FROM lots WHERE id = $2::text::uuid
    UNION ALL
    SELECT id FROM lots WHERE lot_code = $3::text
    LIMIT 1
) AS child ON true
LEFT JOIN LATERAL (
    SELECT link_json(g) AS link, g.linked_at, g.id
    FROM lot_genealogy g
    WHERE g.child_lot_id = child.id
        AND ($4::text IS NULL OR (g.linked_at, g.id) < ($4::text::timestamptz, $5::text::uuid))
    ORDER BY g.linked_at DESC, g.id DESC
    LIMIT $6::text::int
) AS page ON true
ORDER BY page.linked_at DESC, page.id DESC
