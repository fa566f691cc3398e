-- From the existing tables to what the functions rely on: exact numbers, no gaps in what lists are ordered by, unique emails and
-- links, indexes for every list and for the genealogy, decisions that nobody can change, and the functions' own role.
-- Everything is said so that it also fits a database that has some of it already.

-- === Columns ===

-- The mock `auth.users` that some databases have isn't kept up by anybody: a new user would be refused.
ALTER TABLE users DROP CONSTRAINT IF EXISTS users_id_fkey;
-- An argon2id PHC string. Null: this account can't log in.
ALTER TABLE users ADD COLUMN IF NOT EXISTS password_hash text;

-- Gate 6.5 is a standard gate. No scale: 1 stays `1` and 6.5 stays `6.5`.
ALTER TABLE qc_gates ALTER COLUMN gate_number TYPE numeric;
ALTER TABLE qc_gates ADD COLUMN IF NOT EXISTS min_c numeric(5, 1);
ALTER TABLE qc_gates ADD COLUMN IF NOT EXISTS max_c numeric(5, 1);
ALTER TABLE qc_gates ADD CONSTRAINT qc_gates_limits_check CHECK (min_c <= max_c);

-- What a phase makes; null where it makes no lot.
ALTER TABLE phases ADD COLUMN IF NOT EXISTS lot_type text
    CONSTRAINT phases_lot_type_check CHECK (lot_type IN ('RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG'));

ALTER TABLE production_runs ALTER COLUMN daily_target_kg TYPE numeric(10, 2);
ALTER TABLE lots ALTER COLUMN weight_kg TYPE numeric(10, 2), ALTER COLUMN temperature_c TYPE numeric(5, 1);
ALTER TABLE lot_genealogy ALTER COLUMN quantity_used_kg TYPE numeric(10, 2);
ALTER TABLE qc_decisions ALTER COLUMN temperature_c TYPE numeric(5, 1);

-- Some databases have these as json, which has no operators to speak of.
ALTER TABLE scenarios ALTER COLUMN name TYPE jsonb, ALTER COLUMN config TYPE jsonb, ALTER COLUMN i18n TYPE jsonb;
ALTER TABLE scenarios ALTER COLUMN config SET DEFAULT '{}', ALTER COLUMN i18n SET DEFAULT '{}';
ALTER TABLE streams ALTER COLUMN name TYPE jsonb;
ALTER TABLE qc_gates ALTER COLUMN name TYPE jsonb, ALTER COLUMN checklist TYPE jsonb;
ALTER TABLE qc_gates ALTER COLUMN checklist SET DEFAULT '[]';
ALTER TABLE phases ALTER COLUMN name TYPE jsonb, ALTER COLUMN description TYPE jsonb;
ALTER TABLE production_runs ALTER COLUMN summary TYPE jsonb;
ALTER TABLE lots ALTER COLUMN metadata TYPE jsonb;
ALTER TABLE lots ALTER COLUMN metadata SET DEFAULT '{}';

-- A row without its time would be on no page of a list.
UPDATE users SET created_at = now() WHERE created_at IS NULL;
UPDATE production_runs SET started_at = now() WHERE started_at IS NULL;
UPDATE lots SET created_at = now() WHERE created_at IS NULL;
UPDATE lot_genealogy SET linked_at = now() WHERE linked_at IS NULL;
UPDATE qc_decisions SET decided_at = now() WHERE decided_at IS NULL;
ALTER TABLE users ALTER COLUMN created_at SET NOT NULL;
ALTER TABLE production_runs ALTER COLUMN started_at SET NOT NULL;
ALTER TABLE lots ALTER COLUMN created_at SET NOT NULL;
ALTER TABLE lot_genealogy ALTER COLUMN linked_at SET NOT NULL;
ALTER TABLE qc_decisions ALTER COLUMN decided_at SET NOT NULL;

UPDATE production_runs SET status = 'ACTIVE' WHERE status IS NULL;
ALTER TABLE production_runs ALTER COLUMN status SET NOT NULL;
UPDATE lots SET metadata = '{}' WHERE metadata IS NULL;
ALTER TABLE lots ALTER COLUMN metadata SET NOT NULL;

-- Lots that are here already were last changed when they were made, as far as anybody knows.
ALTER TABLE lots ADD COLUMN IF NOT EXISTS updated_at timestamptz;
UPDATE lots SET updated_at = created_at WHERE updated_at IS NULL;
ALTER TABLE lots ALTER COLUMN updated_at SET DEFAULT now(), ALTER COLUMN updated_at SET NOT NULL;

-- === Uniqueness ===

-- Somebody who writes Admin@ is the same person as admin@. Look up by lower(email) too, which this index serves.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX streams_scenario_stream_key ON streams (scenario_id, stream_key);
CREATE UNIQUE INDEX qc_gates_scenario_gate_key ON qc_gates (scenario_id, gate_number);
CREATE UNIQUE INDEX phases_scenario_phase_key ON phases (scenario_id, phase_number);
-- Serves the way down the genealogy, from parents to children, as well.
ALTER TABLE lot_genealogy ADD CONSTRAINT lot_genealogy_parent_child_key UNIQUE (parent_lot_id, child_lot_id);

-- === Indexes ===

-- The way up.
CREATE INDEX lot_genealogy_child ON lot_genealogy (child_lot_id);
CREATE INDEX lots_created_at_id ON lots (created_at, id);
CREATE INDEX lots_type_created_at_id ON lots (lot_type, created_at, id);
-- `code_prefix`, whatever the database's collation.
CREATE INDEX lots_code_prefix ON lots (lot_code text_pattern_ops);
CREATE INDEX qc_decisions_lot_decided_at ON qc_decisions (lot_id, decided_at);
CREATE INDEX qc_decisions_gate_decided_at_id ON qc_decisions (qc_gate_id, decided_at, id);
CREATE INDEX production_runs_status_started_at_id ON production_runs (status, started_at, id);
CREATE INDEX users_last_login ON users (last_login);

-- === Append-only ===

-- For tables that record what happened. One statement trigger refuses UPDATE, DELETE and TRUNCATE, also where no row would be
-- affected, and also to the owner. (An owner who means to can still drop the trigger; that takes DDL, which is logged.)
CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Record a new row instead.';
END
$$;

CREATE TRIGGER qc_decisions_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON qc_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Also in a session that replays changes (session_replication_role = replica).
ALTER TABLE qc_decisions ENABLE ALWAYS TRIGGER qc_decisions_append_only;

-- === The functions' role ===

-- Whoever runs the database gives it LOGIN and a password (infra/stack does for the local stack).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'flowviz_app') THEN
        CREATE ROLE flowviz_app NOLOGIN;
    END IF;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO flowviz_app;
GRANT SELECT ON scenarios, streams, qc_gates, phases TO flowviz_app;
GRANT SELECT, INSERT, UPDATE ON users, production_runs, lots TO flowviz_app;
GRANT SELECT, INSERT ON lot_genealogy, qc_decisions TO flowviz_app;
