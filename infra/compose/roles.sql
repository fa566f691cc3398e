-- The roles and the database, each if it is absent, with the passwords that the secrets hold now: changed ones count at the next
-- `up`. As the local stack makes them (infra/stack/src/postgres.rs).

\set owner `cat /run/secrets/flowviz_password`
\set app `cat /run/secrets/flowviz_app_password`
\set monitor `cat /run/secrets/flowviz_monitor_password`

-- Passwords pass through here: neither a slow statement nor a failed one is logged.
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['flowviz', 'flowviz_app', 'flowviz_monitor']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- Owns the database and runs the migrations. No superuser; makes the application's role where it isn't there.
ALTER ROLE flowviz LOGIN CREATEROLE PASSWORD :'owner';
-- What the functions log in as.
ALTER ROLE flowviz_app LOGIN PASSWORD :'app';
-- Reads PostgreSQL's own statistics, for the exporter.
ALTER ROLE flowviz_monitor LOGIN PASSWORD :'monitor';
GRANT pg_monitor TO flowviz_monitor;

SELECT 'CREATE DATABASE flowviz OWNER flowviz'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'flowviz') \gexec

-- Nobody makes temporary tables behind a transaction pooler, where the next client would meet them.
REVOKE ALL ON DATABASE flowviz FROM PUBLIC;
GRANT CONNECT ON DATABASE flowviz TO flowviz_app, flowviz_monitor;
