-- Records a decision.
-- $1 the caller's id; $2 the roles that may; $3 the draft as JSON, its notes NULL where they are blank; $4 whether the body had no fault of its own.
-- No row: the caller is unknown. A row without `id`: nothing was written, the other columns say why.
WITH caller AS (
    SELECT id, role FROM users WHERE id = $1::text::uuid
),
draft AS (
    SELECT d.*, caller.role IN ('ADMIN', 'MANAGER') AS may_override
    FROM caller,
        jsonb_to_record($3::text::jsonb) AS d (
            id uuid, lot_id uuid, qc_gate_id uuid, operator_id uuid, decision text, notes text,
            temperature_c numeric(5, 1), digital_signature text
        )
    WHERE caller.role = ANY (string_to_array($2::text, ','))
        AND (d.operator_id = caller.id OR d.operator_id IS NULL OR caller.role IN ('ADMIN', 'MANAGER'))
),
-- An outer join's missing gate has no CCP and no limits, so it breaks none of their rules.
measured AS (
    SELECT
        draft.*,
        trim_scale(gate.gate_number)::text AS gate_number,
        draft.operator_id IS NULL OR EXISTS (SELECT FROM users WHERE id = draft.operator_id) AS operator_known,
        draft.lot_id IS NULL OR EXISTS (SELECT FROM lots WHERE id = draft.lot_id) AS lot_known,
        draft.qc_gate_id IS NULL OR gate.id IS NOT NULL AS gate_known,
        coalesce(gate.is_ccp, false) AND draft.temperature_c IS NULL AS temperature_missing,
        coalesce(
            gate.is_ccp AND draft.decision = 'PASS'
                AND (draft.temperature_c < gate.min_c OR draft.temperature_c > gate.max_c),
            false
        ) AS limit_exceeded,
        gate.min_c::numeric(5, 1)::text AS min_c,
        gate.max_c::numeric(5, 1)::text AS max_c
    FROM draft
    LEFT JOIN qc_gates gate ON gate.id = draft.qc_gate_id
),
checked AS (
    SELECT *, limit_exceeded AND may_override AND notes IS NOT NULL AS overridden
    FROM measured
),
recorded AS (
    INSERT INTO qc_decisions
        (id, lot_id, qc_gate_id, operator_id, decision, notes, temperature_c, digital_signature, ccp_override)
    SELECT id, lot_id, qc_gate_id, operator_id, decision, notes, temperature_c, digital_signature, overridden
    FROM checked
    WHERE $4::text::boolean AND operator_known AND lot_known AND gate_known AND NOT temperature_missing
        AND (overridden OR NOT limit_exceeded)
    RETURNING *
)
SELECT
    caller.role,
    checked.operator_known,
    checked.lot_known,
    checked.gate_known,
    checked.temperature_missing,
    checked.gate_number,
    checked.min_c,
    checked.max_c,
    decision.id::text,
    decision.lot_id::text,
    decision.qc_gate_id::text,
    decision.operator_id::text,
    decision.decision,
    decision.notes,
    decision.temperature_c::numeric(5, 1)::text AS temperature_c,
    decision.digital_signature,
    rfc3339(decision.decided_at) AS decided_at
FROM caller
LEFT JOIN checked ON true
LEFT JOIN recorded AS decision ON true
