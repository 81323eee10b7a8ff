-- name: read_settings
-- Those that a role may not know are NULL.
SELECT current_setting('server_version_num')::integer,
       session_user::text,
       clock_timestamp(),
       current_setting('fsync') = 'on',
       current_setting('full_page_writes') = 'on',
       current_setting('synchronous_commit'),
       current_setting('synchronous_standby_names'),
       (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'),
       (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
       inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr()

-- name: count_synchronous_standbys
-- The columns of other roles' sessions are NULL for a role that may not see them.
SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'),
       count(*) FILTER (WHERE sync_state IS NULL)
  FROM pg_stat_replication

-- name: list_unusable_tables
SELECT tables.name
  FROM unnest(%(tables)s::text[]) AS tables (name)
 WHERE to_regclass(tables.name) IS NOT NULL
   AND NOT has_any_column_privilege(to_regclass(tables.name), 'SELECT')
   AND NOT has_any_column_privilege(to_regclass(tables.name), 'INSERT')
 ORDER BY tables.name

-- name: read_backend
SELECT pg_backend_pid()
