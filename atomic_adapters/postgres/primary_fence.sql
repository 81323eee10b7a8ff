-- name: read_wal_timeline
-- The cluster, and its timeline while it is a primary. A backup or replica has the identifier of its
-- original.
SELECT system_identifier::text,
       CASE WHEN NOT pg_is_in_recovery()
            THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
        END
  FROM pg_control_system()
