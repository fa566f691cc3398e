-- Links a parent to a lot. Stands between write_head.sql and write_tail.sql; $3 is the draft.
draft AS (
    SELECT d.*
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (
        id uuid, child jsonb, parent_lot_id uuid, quantity_used_kg numeric(10, 2)
    )
),
checked AS (
    SELECT
        draft.*,
        child.id AS child_lot_id,
        draft.parent_lot_id IS NULL OR EXISTS (SELECT FROM lots WHERE id = draft.parent_lot_id) AS parent_known
    FROM draft
    LEFT JOIN LATERAL (
        SELECT id FROM lots WHERE id = (draft.child ->> 'id')::uuid
        UNION ALL
        SELECT id FROM lots WHERE lot_code = draft.child ->> 'code'
        LIMIT 1
    ) AS child ON true
),
linked AS (
    INSERT INTO lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg)
    SELECT id, parent_lot_id, child_lot_id, quantity_used_kg
    FROM checked
    WHERE $4::text::boolean AND parent_known AND child_lot_id IS NOT NULL
    RETURNING id, link_json(lot_genealogy) AS document
),
facts AS (
    SELECT child_lot_id IS NOT NULL AS child_known, parent_known FROM checked
),
written AS (
    SELECT document FROM linked
),
event AS (
    SELECT 'lot.linked' AS action, 'lot_link' AS entity, id AS entity_id, NULL::jsonb AS before, document::jsonb AS after
    FROM linked
)
