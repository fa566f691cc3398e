-- The API's objects as JSON, each written once: what a function answers with, and what the audit trail keeps as before and after.
-- Mass and temperature are texts, so that no reader turns them into floats; times are RFC 3339.
-- SQL functions of one expression: PostgreSQL writes them into the statements that call them.

CREATE FUNCTION lot_json(lot lots) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object(
    'id', lot.id,
    'lot_code', lot.lot_code,
    'lot_type', lot.lot_type,
    'production_run_id', lot.production_run_id,
    'phase_id', lot.phase_id,
    'operator_id', lot.operator_id,
    'weight_kg', lot.weight_kg::text,
    'temperature_c', lot.temperature_c::text,
    'metadata', lot.metadata,
    'created_at', rfc3339(lot.created_at),
    'status', lot.status,
    'updated_at', rfc3339(lot.updated_at)
);

CREATE FUNCTION link_json(link lot_genealogy) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object(
    'id', link.id,
    'parent_lot_id', link.parent_lot_id,
    'child_lot_id', link.child_lot_id,
    'quantity_used_kg', link.quantity_used_kg::text,
    'linked_at', rfc3339(link.linked_at)
);

CREATE FUNCTION decision_json(decision qc_decisions) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object(
    'id', decision.id,
    'lot_id', decision.lot_id,
    'qc_gate_id', decision.qc_gate_id,
    'operator_id', decision.operator_id,
    'decision', decision.decision,
    'notes', decision.notes,
    'temperature_c', decision.temperature_c::text,
    'digital_signature', decision.digital_signature,
    'decided_at', rfc3339(decision.decided_at)
);

CREATE FUNCTION gate_json(gate qc_gates) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object(
    'id', gate.id,
    'scenario_id', gate.scenario_id,
    'gate_number', trim_scale(gate.gate_number),
    'name', gate.name,
    'gate_type', gate.gate_type,
    'is_ccp', coalesce(gate.is_ccp, false),
    'limits', CASE WHEN gate.min_c IS NOT NULL OR gate.max_c IS NOT NULL
        THEN json_build_object('min_c', gate.min_c::text, 'max_c', gate.max_c::text) END,
    'checklist', coalesce(gate.checklist, '[]')
);

CREATE FUNCTION run_json(run production_runs) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object(
    'id', run.id,
    'run_code', run.run_code,
    'scenario_id', run.scenario_id,
    'operator_id', run.operator_id,
    'status', run.status,
    'daily_target_kg', run.daily_target_kg::text,
    'started_at', rfc3339(run.started_at),
    'ended_at', rfc3339(run.ended_at),
    'summary', run.summary
);

-- Never the password's hash.
CREATE FUNCTION user_json(person users) RETURNS json
LANGUAGE sql STABLE PARALLEL SAFE
RETURN json_build_object(
    'id', person.id,
    'email', person.email,
    'full_name', person.full_name,
    'role', person.role,
    'created_at', rfc3339(person.created_at),
    'last_login', rfc3339(person.last_login)
);
