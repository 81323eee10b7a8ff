-- Items whose step the network has left open, and that no worker has claimed. SKIP LOCKED: the transaction that has
-- locked one claims or settles it.
idle AS MATERIALIZED (
    SELECT id
      FROM {table}
     WHERE id = ANY(%(ids)s)
       AND network = %(network)s
       AND phase = 'OPEN'
       AND network_state IN ('pending', 'unknown')
       AND leased_until IS NULL
     ORDER BY id
       FOR NO KEY UPDATE SKIP LOCKED
), hastened AS (
    -- The count of faults decides whether the next claim inquires: see Claim.needs_inquiry.
    UPDATE {table}
       SET due_at = least(due_at, now()),
           faults = CASE network_state
                        WHEN 'unknown'
                        THEN greatest(%(repeats)s::smallint,
                                      faults + abs(faults - %(repeats)s::smallint) %% 2)
                        ELSE faults
                    END
      FROM idle
     WHERE {table}.id = idle.id
    RETURNING {table}.id
)
SELECT id
  FROM {table}
 WHERE id = ANY(%(ids)s)
   AND network = %(network)s
   AND phase = 'OPEN'
   AND (leased_until IS NOT NULL OR network_state IN ('pending', 'unknown'))
   AND id <> ALL (ARRAY(SELECT hastened.id FROM hastened))
