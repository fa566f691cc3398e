-- A page of decisions, newest first. Follows caller.sql.
-- $2 lot_id; $3 decision; $4 gate_number; $5 and $6 where the page before ended; $7 how many. A row without `decision`: none.
SELECT caller.role, caller.unseen, page.decision::text AS decision
FROM caller
LEFT JOIN LATERAL (
    SELECT decision_json(d) AS decision, d.decided_at, d.id
    FROM qc_decisions d
    WHERE ($2::text IS NULL OR d.lot_id = $2::text::uuid)
        AND ($3::text IS NULL OR d.decision = $3::text)
        AND ($4::text IS NULL
            OR d.qc_gate_id = ANY (ARRAY(SELECT id FROM qc_gates WHERE gate_number = $4::text::numeric)))
        AND ($5::text IS NULL OR (d.decided_at, d.id) < ($5::text::timestamptz, $6::text::uuid))
    ORDER BY d.decided_at DESC, d.id DESC
    LIMIT $7::text::int
) AS page ON true
ORDER BY page.decided_at DESC, page.id DESC
