-- A page of decisions, newest first, for a caller who exists.
-- $1 the caller's id; $2 lot_id; $3 decision; $4 gate_number; $5 and $6 where the page before ended; $7 how many.
-- No row: the caller is unknown. A row without `id`: no decision.
SELECT
    caller.role,
    decision.id::text,
    decision.lot_id::text,
    decision.qc_gate_id::text,
    decision.operator_id::text,
    decision.decision,
    decision.notes,
    decision.temperature_c::numeric(5, 1)::text AS temperature_c,
    decision.digital_signature,
    rfc3339(decision.decided_at) AS decided_at
FROM users AS caller
LEFT JOIN LATERAL (
    SELECT d.*
    FROM qc_decisions d
    WHERE ($2::text IS NULL OR d.lot_id = $2::text::uuid)
        AND ($3::text IS NULL OR d.decision = $3::text)
        AND ($4::text IS NULL
            OR d.qc_gate_id = ANY (ARRAY(SELECT id FROM qc_gates WHERE gate_number = $4::text::numeric)))
        AND ($5::text IS NULL OR (d.decided_at, d.id) < ($5::text::timestamptz, $6::text::uuid))
    ORDER BY d.decided_at DESC, d.id DESC
    LIMIT $7::text::int
) AS decision ON true
WHERE caller.id = $1::text::uuid
ORDER BY decision.decided_at DESC, decision.id DESC
