-- All gates. Follows caller.sql. A row without `gate`: there is none.
SELECT caller.role, caller.unseen, CASE WHEN qc_gates.id IS NOT NULL THEN gate_json(qc_gates)::text END AS gate
FROM caller
LEFT JOIN qc_gates ON true
ORDER BY qc_gates.scenario_id, qc_gates.gate_number
