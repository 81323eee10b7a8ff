-- What is known of the step. A lease that is still there is that of a claim which ended without a
-- settlement: its worker may have called the network.
CASE WHEN due.leased_until IS NULL OR {table}.network_state IN ('pending', 'refused')
     THEN {table}.network_state
     ELSE 'unknown'
END AS network_state,
coalesce({table}.key_generation, 0) AS key_generation,
now() - {table}.sent_at AS sent_for
