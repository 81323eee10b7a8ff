-- name: register_worker
-- The lock is the session's, and ends with it. A number that is still taken, after two thousand
-- million others, is not ours.
SELECT number, pg_try_advisory_lock('claimants'::regclass::integer, number),
       -- It says nothing, for as long as the process lives.
       set_config('idle_session_timeout', '0', false)
  FROM (SELECT nextval('claimants')::integer AS number) AS given
