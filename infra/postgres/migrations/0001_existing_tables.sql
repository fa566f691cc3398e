-- The tables of the existing FlowViz database, each if it is absent: on an empty database this creates them, on an existing one
-- it changes nothing. Names, columns and enum values are what is out there; what we want beyond them comes in the migrations
-- that follow, so that both kinds of database end up the same.
-- `users.id` refers to nothing here: the mock `auth` schema that it referred to isn't ours.

CREATE TABLE IF NOT EXISTS users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL,
    full_name text,
    role text NOT NULL DEFAULT 'VIEWER' CHECK (role IN ('ADMIN', 'MANAGER', 'AUDITOR', 'OPERATOR', 'VIEWER')),
    created_at timestamptz DEFAULT now(),
    last_login timestamptz
);

CREATE TABLE IF NOT EXISTS scenarios (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name jsonb NOT NULL,
    version text NOT NULL,
    config jsonb DEFAULT '{}',
    i18n jsonb DEFAULT '{}',
    is_active boolean DEFAULT false,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS streams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scenario_id uuid REFERENCES scenarios (id) ON DELETE CASCADE,
    stream_key text NOT NULL CHECK (stream_key IN ('A', 'B', 'C')),
    name jsonb NOT NULL,
    color text NOT NULL,
    sort_order integer NOT NULL
);

CREATE TABLE IF NOT EXISTS qc_gates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scenario_id uuid REFERENCES scenarios (id) ON DELETE CASCADE,
    gate_number numeric NOT NULL,
    name jsonb NOT NULL,
    gate_type text CHECK (gate_type IN ('CHECKPOINT', 'BLOCKING', 'INFO')),
    is_ccp boolean DEFAULT false,
    checklist jsonb DEFAULT '[]'
);

CREATE TABLE IF NOT EXISTS phases (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scenario_id uuid REFERENCES scenarios (id) ON DELETE CASCADE,
    stream_id uuid REFERENCES streams (id),
    qc_gate_id uuid REFERENCES qc_gates (id),
    phase_number integer NOT NULL,
    name jsonb NOT NULL,
    description jsonb NOT NULL
);

CREATE TABLE IF NOT EXISTS production_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    run_code text NOT NULL UNIQUE,
    scenario_id uuid REFERENCES scenarios (id),
    operator_id uuid REFERENCES users (id),
    status text DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'COMPLETED', 'CANCELLED')),
    daily_target_kg numeric,
    started_at timestamptz DEFAULT now(),
    ended_at timestamptz,
    summary jsonb
);

CREATE TABLE IF NOT EXISTS lots (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_code text NOT NULL UNIQUE,
    lot_type text CHECK (lot_type IN ('RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG')),
    production_run_id uuid REFERENCES production_runs (id),
    phase_id uuid REFERENCES phases (id),
    operator_id uuid REFERENCES users (id),
    weight_kg numeric,
    temperature_c numeric,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS lot_genealogy (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    parent_lot_id uuid REFERENCES lots (id),
    child_lot_id uuid REFERENCES lots (id),
    quantity_used_kg numeric,
    linked_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS qc_decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lot_id uuid REFERENCES lots (id),
    qc_gate_id uuid REFERENCES qc_gates (id),
    operator_id uuid REFERENCES users (id),
    decision text CHECK (decision IN ('PASS', 'HOLD', 'FAIL')),
    notes text,
    temperature_c numeric,
    digital_signature text,
    decided_at timestamptz DEFAULT now()
);
