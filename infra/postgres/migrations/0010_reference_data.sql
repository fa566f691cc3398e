-- The scenario `doner-kft` 1.0.0: streams, QC gates, phases. Ids are fixed, so that every installation has the same; what is
-- there already stays as it is.

INSERT INTO scenarios (id, name, version, config, is_active) VALUES
    ('00000000-0000-4000-a000-000000000001', '{"hu": "Döner Kft.", "en": "Döner Ltd."}', '1.0.0', '{"key": "doner-kft"}', true)
ON CONFLICT (id) DO NOTHING;

INSERT INTO streams (id, scenario_id, stream_key, name, color, sort_order) VALUES
    ('00000000-0000-4000-a001-000000000001', '00000000-0000-4000-a000-000000000001', 'A', '{"hu": "Előkészítés", "en": "Preparation"}', '#ff6b9d', 1),
    ('00000000-0000-4000-a001-000000000002', '00000000-0000-4000-a000-000000000001', 'B', '{"hu": "Gyártás", "en": "Production"}', '#4a9eff', 2),
    ('00000000-0000-4000-a001-000000000003', '00000000-0000-4000-a000-000000000001', 'C', '{"hu": "Kiszolgálás", "en": "Service"}', '#00ff88', 3)
ON CONFLICT (id) DO NOTHING;

-- The last digits of an id are ten times the gate's number. BLOCKING: production doesn't go on without a PASS.
INSERT INTO qc_gates (id, scenario_id, gate_number, name, gate_type, is_ccp, min_c, max_c) VALUES
    ('00000000-0000-4000-a002-000000000010', '00000000-0000-4000-a000-000000000001', 1, '{"hu": "Átvétel", "en": "Receipt"}', 'CHECKPOINT', false, 0.0, 4.0),
    ('00000000-0000-4000-a002-000000000030', '00000000-0000-4000-a000-000000000001', 3, '{"hu": "Csontozás", "en": "Deboning"}', 'CHECKPOINT', false, NULL, NULL),
    ('00000000-0000-4000-a002-000000000040', '00000000-0000-4000-a000-000000000001', 4, '{"hu": "BULK-készenlét", "en": "BULK readiness"}', 'CHECKPOINT', false, NULL, NULL),
    ('00000000-0000-4000-a002-000000000050', '00000000-0000-4000-a000-000000000001', 5, '{"hu": "Keverés", "en": "Mix"}', 'CHECKPOINT', false, NULL, NULL),
    ('00000000-0000-4000-a002-000000000060', '00000000-0000-4000-a000-000000000001', 6, '{"hu": "Nyársmérés", "en": "Skewer weigh"}', 'CHECKPOINT', false, NULL, NULL),
    ('00000000-0000-4000-a002-000000000065', '00000000-0000-4000-a000-000000000001', 6.5, '{"hu": "SKU-szétválasztás", "en": "SKU split"}', 'CHECKPOINT', false, NULL, NULL),
    ('00000000-0000-4000-a002-000000000070', '00000000-0000-4000-a000-000000000001', 7, '{"hu": "Fagyasztás", "en": "Freeze"}', 'BLOCKING', true, NULL, -18.0),
    ('00000000-0000-4000-a002-000000000080', '00000000-0000-4000-a000-000000000001', 8, '{"hu": "Végső felszabadítás", "en": "Final release"}', 'BLOCKING', false, NULL, NULL)
ON CONFLICT (id) DO NOTHING;

INSERT INTO phases (id, scenario_id, phase_number, stream_id, qc_gate_id, lot_type, name, description) VALUES
    ('00000000-0000-4000-a003-000000000000', '00000000-0000-4000-a000-000000000001', 0, NULL, NULL, NULL,
        '{"hu": "START", "en": "START"}', '{"hu": "Készletellenőrzés", "en": "Stock check"}'),
    ('00000000-0000-4000-a003-000000000001', '00000000-0000-4000-a000-000000000001', 1, '00000000-0000-4000-a001-000000000001', '00000000-0000-4000-a002-000000000010', 'RAW',
        '{"hu": "Átvétel", "en": "Receipt"}', '{"hu": "Átvétel, karantén-ellenőrzés", "en": "Receipt, quarantine check"}'),
    ('00000000-0000-4000-a003-000000000002', '00000000-0000-4000-a000-000000000001', 2, '00000000-0000-4000-a001-000000000001', '00000000-0000-4000-a002-000000000030', 'DEB',
        '{"hu": "Csontozás", "en": "Deboning"}', '{"hu": "Folyamatos csontozás BULK-ba", "en": "Continuous deboning into BULK"}'),
    ('00000000-0000-4000-a003-000000000003', '00000000-0000-4000-a000-000000000001', 3, '00000000-0000-4000-a001-000000000001', '00000000-0000-4000-a002-000000000040', 'BULK',
        '{"hu": "BULK-puffer", "en": "BULK buffer"}', '{"hu": "Hűtött puffer, 0-4 °C", "en": "Chilled buffer, 0-4 °C"}'),
    ('00000000-0000-4000-a003-000000000004', '00000000-0000-4000-a000-000000000001', 4, '00000000-0000-4000-a001-000000000002', '00000000-0000-4000-a002-000000000050', 'MIX',
        '{"hu": "Keverés", "en": "Mixing"}', '{"hu": "Receptúra szerinti keverés, fűszerezés", "en": "Mixing by recipe, seasoning"}'),
    ('00000000-0000-4000-a003-000000000005', '00000000-0000-4000-a000-000000000001', 5, '00000000-0000-4000-a001-000000000002', '00000000-0000-4000-a002-000000000060', 'SKW',
        '{"hu": "Nyársalás", "en": "Skewering"}', '{"hu": "Nyársalás, minden nyárs mérlegelve", "en": "Skewering, every rod weighed"}'),
    ('00000000-0000-4000-a003-000000000006', '00000000-0000-4000-a000-000000000001', 6, '00000000-0000-4000-a001-000000000002', '00000000-0000-4000-a002-000000000065', 'SKW',
        '{"hu": "SKU-szétválasztás", "en": "SKU split"}', '{"hu": "15 és 30 kg-os nyársak elkülönítése", "en": "15 kg and 30 kg rods kept apart"}'),
    ('00000000-0000-4000-a003-000000000007', '00000000-0000-4000-a000-000000000001', 7, '00000000-0000-4000-a001-000000000003', '00000000-0000-4000-a002-000000000070', 'FRZ',
        '{"hu": "Fagyasztás", "en": "Freezing"}', '{"hu": "Fagyasztás, egy ciklusban egy SKU", "en": "Freezing, one SKU in a cycle"}'),
    ('00000000-0000-4000-a003-000000000008', '00000000-0000-4000-a000-000000000001', 8, '00000000-0000-4000-a001-000000000003', '00000000-0000-4000-a002-000000000080', 'FG',
        '{"hu": "Csomagolás", "en": "Packaging"}', '{"hu": "Csomagolás, címkézés", "en": "Packaging, labelling"}'),
    ('00000000-0000-4000-a003-000000000009', '00000000-0000-4000-a000-000000000001', 9, '00000000-0000-4000-a001-000000000003', '00000000-0000-4000-a002-000000000080', NULL,
        '{"hu": "Palettázás", "en": "Palletizing"}', '{"hu": "Palettázás, SSCC-címke", "en": "Palletizing, SSCC label"}'),
    ('00000000-0000-4000-a003-000000000010', '00000000-0000-4000-a000-000000000001', 10, '00000000-0000-4000-a001-000000000003', NULL, NULL,
        '{"hu": "Kiszállítás", "en": "Shipment"}', '{"hu": "Kiszállítás a vevőhöz", "en": "Shipment to the customer"}')
ON CONFLICT (id) DO NOTHING;
