-- For `auth_query`: PgBouncer asks PostgreSQL for the secret of whoever logs in, instead of keeping a copy in userlist.txt.
-- A superuser runs this once in every database that PgBouncer serves (again is no harm):
--   psql -d flowviz -f auth_query.sql && psql -c '\password flowviz_auth'
-- README.md beside this file says what goes into PgBouncer's configuration.

BEGIN;

-- May look secrets up, and nothing else.
DO $$ BEGIN CREATE ROLE flowviz_auth LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO flowviz_auth', current_database()); END $$;

CREATE SCHEMA IF NOT EXISTS pgbouncer;
REVOKE ALL ON SCHEMA pgbouncer FROM PUBLIC;
GRANT USAGE ON SCHEMA pgbouncer TO flowviz_auth;

-- It runs as the superuser that made it, since nobody else reads pg_authid. Hence the fixed search_path: its caller can't put other
-- tables or operators in the place of the catalog's. Superusers and replication don't log in through a pooler, and a password
-- whose time is over (VALID UNTIL), which PgBouncer itself doesn't look at, is none.
CREATE OR REPLACE FUNCTION pgbouncer.user_lookup(name text, OUT username text, OUT secret text)
    RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT rolname::text, CASE WHEN rolvaliduntil <= now() THEN NULL ELSE rolpassword END
    FROM pg_catalog.pg_authid
    WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND NOT rolreplication
$$;
REVOKE ALL ON FUNCTION pgbouncer.user_lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.user_lookup(text) TO flowviz_auth;

COMMIT;
