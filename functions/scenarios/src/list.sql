-- All scenarios with what belongs to them. Follows caller.sql. A row without `scenario`: there is none.
SELECT
    caller.role,
    caller.unseen,
    CASE WHEN s.id IS NOT NULL THEN json_build_object(
        'id', s.id,
        'name', s.name,
        'version', s.version,
        'config', coalesce(s.config, '{}'),
        'i18n', coalesce(s.i18n, '{}'),
        'is_active', coalesce(s.is_active, false),
        'created_at', rfc3339(s.created_at),
        'streams', (
            SELECT coalesce(json_agg(json_build_object(
                'id', id, 'stream_key', stream_key, 'name', name, 'color', color, 'sort_order', sort_order
            ) ORDER BY sort_order, stream_key), '[]')
            FROM streams WHERE scenario_id = s.id
        ),
        'phases', (
            SELECT coalesce(json_agg(json_build_object(
                'id', id, 'phase_number', phase_number, 'stream_id', stream_id, 'qc_gate_id', qc_gate_id,
                'lot_type', lot_type, 'name', name, 'description', description
            ) ORDER BY phase_number), '[]')
            FROM phases WHERE scenario_id = s.id
        ),
        'gates', (
            SELECT coalesce(json_agg(gate_json(qc_gates) ORDER BY gate_number), '[]')
            FROM qc_gates WHERE scenario_id = s.id
        )
    )::text END AS scenario
FROM caller
LEFT JOIN scenarios s ON true
ORDER BY s.created_at, s.id
