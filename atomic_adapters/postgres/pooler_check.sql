-- name: read_backend
SELECT pg_backend_pid(), pg_postmaster_start_time()::text
