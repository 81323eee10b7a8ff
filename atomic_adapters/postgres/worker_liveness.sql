-- name: register_worker
-- The lock lasts as long as the session. The sequence cycles after two thousand million ids, so an
-- id may still be in use; its lock is then not granted.
SELECT worker_id, pg_try_advisory_lock('claimants'::regclass::integer, worker_id),
       -- The session idles for as long as the process runs.
       set_config('idle_session_timeout', '0', false)
  FROM (SELECT nextval('claimants')::integer AS worker_id) AS new
