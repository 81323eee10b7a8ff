-- The roles of compose.yaml, whose service `roles` runs this as the superuser before each migration, and
-- nothing else does: a superuser can run programs on the database's host, and the owner of the tables cannot.
-- Passwords: OWNER_ROLE_PASSWORD, APP_ROLE_PASSWORD and READONLY_ROLE_PASSWORD. Safe to repeat; changes
-- passwords to those that are given.

\set ON_ERROR_STOP on
\getenv owner_password OWNER_ROLE_PASSWORD
\getenv app_password APP_ROLE_PASSWORD
\getenv readonly_password READONLY_ROLE_PASSWORD

BEGIN;
-- No password in the log, whatever the server logs.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
-- A process of the previous version may use the tables. Up again continues.
SET LOCAL lock_timeout = '5s';

SELECT format('CREATE ROLE %I', role)
  FROM unnest(ARRAY['atomic_owner', 'atomic_app', 'atomic_readonly']) AS role
 WHERE to_regrole(role) IS NULL
\gexec

ALTER ROLE atomic_owner LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS
    PASSWORD :'owner_password';
ALTER ROLE atomic_app LOGIN PASSWORD :'app_password';
-- Without a password it is a group, which can be granted to other roles.
SELECT format('ALTER ROLE atomic_readonly LOGIN PASSWORD %L', :'readonly_password')
 WHERE :'readonly_password' <> ''
\gexec

-- What earlier versions of compose.yaml created as the superuser. An identity column's sequence follows its
-- table.
ALTER DATABASE :"DBNAME" OWNER TO atomic_owner;
SELECT format('ALTER TABLE %s OWNER TO atomic_owner', pg_class.oid::regclass)
  FROM pg_class
 WHERE pg_class.relnamespace = 'public'::regnamespace
   AND pg_class.relkind IN ('r', 'p', 'v', 'm', 'S')
   AND pg_class.relowner <> 'atomic_owner'::regrole
   AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE pg_depend.classid = 'pg_class'::regclass
                      AND pg_depend.objid = pg_class.oid
                      AND pg_depend.deptype IN ('a', 'i', 'e'))
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO atomic_owner', pg_proc.oid::regprocedure)
  FROM pg_proc
 WHERE pg_proc.pronamespace = 'public'::regnamespace
   AND pg_proc.proowner <> 'atomic_owner'::regrole
   AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE pg_depend.classid = 'pg_proc'::regclass
                      AND pg_depend.objid = pg_proc.oid
                      AND pg_depend.deptype = 'e')
\gexec
COMMIT;
