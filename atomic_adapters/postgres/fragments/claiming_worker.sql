-- The worker id to claim under: NULL if its advisory lock is free, that is, if the worker's liveness
-- session was lost. Other workers would take over claims under it at once.
worker AS MATERIALIZED (
    SELECT CASE WHEN NOT pg_try_advisory_xact_lock_shared('claimants'::regclass::integer,
                                                          %(worker_id)s::integer)
                THEN %(worker_id)s::integer
           END AS id
)
