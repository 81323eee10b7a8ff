-- name: list_columns
-- Of the tables that migrations create.
SELECT pg_class.relname::text,
       array_agg(pg_attribute.attname::text ORDER BY pg_attribute.attnum)
  FROM pg_class
  JOIN pg_attribute ON pg_attribute.attrelid = pg_class.oid
                   AND pg_attribute.attnum > 0
                   AND NOT pg_attribute.attisdropped
 WHERE pg_class.relnamespace = current_schema()::regnamespace
   AND pg_class.relkind IN ('r', 'p')
   AND pg_class.relname = ANY(%(names)s)
 GROUP BY pg_class.relname
 ORDER BY pg_class.relname

-- name: list_sequences
SELECT pg_class.relname::text
  FROM pg_class
 WHERE pg_class.relnamespace = current_schema()::regnamespace
   AND pg_class.relkind = 'S'
   AND pg_class.relname = ANY(%(names)s)

-- name: list_functions
-- Those of the schema, without those of extensions and other owners.
SELECT pg_proc.proname::text, pg_get_function_identity_arguments(pg_proc.oid)
  FROM pg_proc
 WHERE pg_proc.pronamespace = current_schema()::regnamespace
   AND pg_has_role(current_user, pg_proc.proowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE pg_depend.classid = 'pg_proc'::regclass
                      AND pg_depend.objid = pg_proc.oid
                      AND pg_depend.deptype = 'e')

-- name: find_role
-- Whether it could grant itself anything, as a superuser or an owner of tables can.
SELECT pg_roles.rolsuper
       OR EXISTS (SELECT FROM pg_class
                   WHERE pg_class.relnamespace = current_schema()::regnamespace
                     AND pg_has_role(pg_roles.oid, pg_class.relowner, 'MEMBER'))
  FROM pg_roles
 WHERE pg_roles.rolname = %(role)s

-- name: read_names
SELECT current_database()::text, current_schema()::text

-- name: find_remaining_powers
-- What only the owner of the database or of the schema can revoke.
SELECT has_database_privilege(%(role)s, current_database(), 'TEMP'),
       has_schema_privilege(%(role)s, current_schema(), 'CREATE')
