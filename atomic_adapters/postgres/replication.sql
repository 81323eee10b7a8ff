-- name: commit_message
-- Part of its transaction, which is therefore committed as one that has written rows is.
SELECT pg_logical_emit_message(true, 'atomic', 'probe')

-- name: is_synchronous
-- `local` waits for this server's disk only, `off` for nothing.
SELECT current_setting('synchronous_standby_names') <> ''
       AND current_setting('synchronous_commit') IN ('on', 'remote_write', 'remote_apply')
