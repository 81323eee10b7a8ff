-- name: find_excess_powers
-- With which the role that has logged in, or one that it can become by SET ROLE, could change the books
-- or switch their guards off. A superuser can become every role: nothing else is listed for it.
WITH roles AS MATERIALIZED (
    SELECT oid, rolname, rolsuper, rolcreaterole, rolbypassrls, rolreplication
      FROM pg_roles
     WHERE pg_has_role(session_user, oid, 'MEMBER')
), atomic AS MATERIALIZED (
    SELECT relnamespace AS schema
      FROM pg_class
     WHERE oid = to_regclass('entries')
), powers (position, power) AS (
    SELECT 1, 'is a superuser' FROM roles WHERE rolsuper
    UNION
    SELECT 2, 'owns tables'
      FROM atomic
      JOIN pg_class ON pg_class.relnamespace = atomic.schema AND pg_class.relkind IN ('r', 'p')
      JOIN roles ON roles.oid = pg_class.relowner
    UNION
    SELECT 3, 'owns the schema'
      FROM atomic
      JOIN pg_namespace ON pg_namespace.oid = atomic.schema
      JOIN roles ON roles.oid = pg_namespace.nspowner
    UNION
    SELECT 4, 'owns the database'
      FROM pg_database
      JOIN roles ON roles.oid = pg_database.datdba
     WHERE pg_database.datname = current_database()
    UNION
    SELECT 5, 'can create objects in the schema'
      FROM atomic
     WHERE has_schema_privilege(session_user, atomic.schema, 'CREATE')
    UNION
    SELECT 6, 'can create roles' FROM roles WHERE rolcreaterole
    UNION
    SELECT 7, 'bypasses row security' FROM roles WHERE rolbypassrls
    UNION
    SELECT 8, 'can replicate' FROM roles WHERE rolreplication
    UNION
    SELECT 9, 'is a member of ' || rolname
      FROM roles
     WHERE rolname IN ('pg_execute_server_program', 'pg_read_server_files',
                       'pg_write_server_files', 'pg_write_all_data')
)
SELECT session_user::text,
       ARRAY(SELECT power
               FROM powers
              WHERE position = 1 OR NOT EXISTS (SELECT FROM roles WHERE rolsuper)
              ORDER BY position, power)
