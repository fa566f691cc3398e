-- A lot's graph. Follows caller.sql.
-- $2 the lot's code; $3 both, backward or forward; $4 how many steps; $5 how many octets. `graph` has no nodes: no such lot.
--
-- A lot is looked at once for each number of steps that lead to it, so neither a cycle in old data nor many ways to the same lot make
-- this longer than lots times steps. OFFSET 0 keeps the planner on the indexes: one look-up for each lot, however many links there are.
, root AS (
    SELECT id FROM lots WHERE lot_code = $2::text
),
backward (lot_id, depth) AS (
    SELECT id, 0 FROM root WHERE $3::text IN ('both', 'backward')
    UNION
    SELECT next.lot_id, backward.depth + 1
    FROM backward
    CROSS JOIN LATERAL (
        SELECT g.parent_lot_id AS lot_id FROM lot_genealogy g WHERE g.child_lot_id = backward.lot_id OFFSET 0
    ) AS next
    WHERE backward.depth <= $4::text::int
),
forward (lot_id, depth) AS (
    SELECT id, 0 FROM root WHERE $3::text IN ('both', 'forward')
    UNION
    SELECT next.lot_id, forward.depth + 1
    FROM forward
    CROSS JOIN LATERAL (
        SELECT g.child_lot_id AS lot_id FROM lot_genealogy g WHERE g.parent_lot_id = forward.lot_id OFFSET 0
    ) AS next
    WHERE forward.depth <= $4::text::int
),
-- The shortest way to each lot. One step more than asked for was taken: whether it led anywhere new is whether there is more.
reached AS (
    SELECT DISTINCT ON (lot_id) lot_id, depth, side
    FROM (
        SELECT id AS lot_id, 0 AS depth, 'root' AS side, 0 AS place FROM root
        UNION ALL
        SELECT lot_id, depth, 'backward', 1 FROM backward
        UNION ALL
        SELECT lot_id, depth, 'forward', 2 FROM forward
    ) AS ways
    ORDER BY lot_id, depth, place
),
weighed AS (
    SELECT
        reached.lot_id,
        reached.depth,
        reached.side,
        lot.lot_code,
        sum(lot.octets) OVER (ORDER BY reached.depth, lot.lot_code ROWS UNBOUNDED PRECEDING) AS octets
    FROM reached
    CROSS JOIN LATERAL (
        SELECT lot_code, octet_length(metadata::text) + 1024 AS octets FROM lots WHERE id = reached.lot_id OFFSET 0
    ) AS lot
    WHERE reached.depth <= $4::text::int
),
node AS MATERIALIZED (
    SELECT lot_id, depth, side, lot_code FROM weighed WHERE octets <= $5::text::bigint OR depth = 0
),
-- A link weighs less than 256 octets. One more than fits is taken: it tells that there are more.
edge AS MATERIALIZED (
    SELECT link.*
    FROM node
    CROSS JOIN LATERAL (
        SELECT link_json(g) AS document, g.child_lot_id, g.linked_at, g.id
        FROM lot_genealogy g WHERE g.parent_lot_id = node.lot_id OFFSET 0
    ) AS link
    WHERE link.child_lot_id IN (SELECT lot_id FROM node)
    ORDER BY link.linked_at, link.id
    LIMIT $5::text::bigint / 256 + 1
)
SELECT
    caller.role,
    caller.unseen,
    json_build_object(
        'nodes', (
            SELECT coalesce(
                json_agg(json_build_object('lot', lot.document, 'depth', node.depth, 'direction', node.side)
                    ORDER BY node.depth, node.lot_code),
                '[]')
            FROM node
            CROSS JOIN LATERAL (SELECT lot_json(lots) AS document FROM lots WHERE id = node.lot_id OFFSET 0) AS lot
        ),
        'edges', (SELECT coalesce(json_agg(edge.document ORDER BY edge.linked_at, edge.id), '[]') FROM edge),
        'truncated', (SELECT count(*) FROM reached) > (SELECT count(*) FROM node)
            OR (SELECT count(*) FROM edge) > $5::text::bigint / 256
    )::text AS graph
FROM caller
