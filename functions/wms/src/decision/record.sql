-- Records a decision. Stands between write_head.sql and write_tail.sql; $3 is the draft, its notes NULL where they are blank.
draft AS (
    SELECT d.*, coalesce(d.lot_id, registered.lot_id) AS about, actor.may_act_for_others AS may_override
    FROM actor
    CROSS JOIN jsonb_to_record($3::text::jsonb) AS d (
        id uuid, lot_id uuid, lot_client_id text, qc_gate_id uuid, operator_id uuid, decision text, notes text,
        temperature_c numeric(5, 1), digital_signature text, recorded_at timestamptz
    )
    -- A lot that a device registered, in the same batch or long ago, by the device's own id of it.
    LEFT JOIN LATERAL (
        SELECT (k.answer ->> 'id')::uuid AS lot_id
        FROM idempotency_keys k
        WHERE k.owner_id = '00000000-0000-0000-0000-000000000000' AND k.route = 'sync lot' AND k.key = d.lot_client_id
    ) AS registered ON true
    WHERE d.operator_id = actor.id OR d.operator_id IS NULL OR actor.may_act_for_others
),
-- An outer join's missing gate has no CCP and no limits, so it breaks none of their rules.
measured AS (
    SELECT
        draft.*,
        trim_scale(gate.gate_number)::text AS gate_number,
        draft.operator_id IS NULL OR EXISTS (SELECT FROM users WHERE id = draft.operator_id) AS operator_known,
        (draft.about IS NULL AND draft.lot_client_id IS NULL)
            OR EXISTS (SELECT FROM lots WHERE id = draft.about) AS lot_known,
        draft.qc_gate_id IS NULL OR gate.id IS NOT NULL AS gate_known,
        coalesce(gate.is_ccp, false) AND draft.temperature_c IS NULL AS temperature_missing,
        coalesce(
            gate.is_ccp AND draft.decision = 'PASS'
                AND (draft.temperature_c < gate.min_c OR draft.temperature_c > gate.max_c),
            false
        ) AS limit_exceeded,
        gate.min_c::text AS min_c,
        gate.max_c::text AS max_c
    FROM draft
    LEFT JOIN qc_gates gate ON gate.id = draft.qc_gate_id
),
checked AS (
    SELECT *, limit_exceeded AND may_override AND notes IS NOT NULL AS overridden
    FROM measured
),
recorded AS (
    INSERT INTO qc_decisions
        (id, lot_id, qc_gate_id, operator_id, decision, notes, temperature_c, digital_signature, ccp_override, decided_at)
    SELECT
        id, about, qc_gate_id, operator_id, decision, notes, temperature_c, digital_signature, overridden,
        coalesce(recorded_at, now())
    FROM checked
    WHERE $4::text::boolean AND operator_known AND lot_known AND gate_known AND NOT temperature_missing
        AND (overridden OR NOT limit_exceeded)
    RETURNING id, ccp_override, decision_json(qc_decisions) AS document
),
facts AS (
    SELECT
        operator_known, lot_known, gate_known, temperature_missing, gate_number, min_c, max_c,
        coalesce(overridden, false) AS overridden
    FROM checked
),
written AS (
    SELECT document FROM recorded
),
event AS (
    SELECT
        CASE WHEN ccp_override THEN 'decision.overridden' ELSE 'decision.recorded' END AS action,
        'qc_decision' AS entity, id AS entity_id, NULL::jsonb AS before,
        document::jsonb || jsonb_build_object('ccp_override', ccp_override) AS after
    FROM recorded
)
