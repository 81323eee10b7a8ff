-- Items whose lease has ended, or whose worker is dead: its advisory lock is free.
-- SKIP LOCKED: workers share the due items instead of waiting for each other.
due AS MATERIALIZED (
    SELECT id, due_at, leased_until
      FROM {table}
     WHERE network = %(network)s
       AND phase = 'OPEN'
       AND due_at <= now() - least(%(overdue_by)s::interval, interval '0')
       -- A lease never ends before the item is due.
       AND (coalesce(leased_until, due_at) <= now() - %(overdue_by)s::interval
            OR pg_try_advisory_xact_lock_shared('claimants'::regclass::integer, claimed_by))
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
)
