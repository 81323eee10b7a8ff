-- name: list_all_merchants
SELECT id, name, created_at, suspended_at
  FROM merchants
 WHERE %(after_id)s::uuid IS NULL
    OR (created_at, id) < (SELECT created_at, id FROM merchants WHERE id = %(after_id)s::uuid)
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_all_accounts
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id IS NOT NULL
   AND (%(currency)s::text IS NULL OR currency = %(currency)s::text)
   AND (%(after_id)s::uuid IS NULL
        OR (created_at, id) < (SELECT created_at, id FROM accounts WHERE id = %(after_id)s::uuid))
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_system_accounts
SELECT
       -- include: account_columns
  FROM accounts
 WHERE merchant_id IS NULL
 ORDER BY currency COLLATE "C", type COLLATE "C"

-- name: list_account_heads
SELECT id, sequence, head
  FROM accounts
 WHERE id > %(after_id)s
 ORDER BY id
 LIMIT %(limit)s

-- name: get_account
SELECT
       -- include: account_columns
  FROM accounts
 WHERE id = %(id)s

-- name: list_all_payments
-- Walks the primary key, down to `walk_end_id`.
SELECT
       -- include: payment_columns
  FROM payments
 WHERE (%(item_status)s::text IS NULL OR status = %(item_status)s::text)
   AND id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
   AND id >= coalesce(%(walk_end_id)s::uuid, '00000000-0000-0000-0000-000000000000')
 ORDER BY id DESC
 LIMIT %(limit)s

-- name: find_walk_end_of_payments
SELECT id
  FROM payments
 WHERE id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
 ORDER BY id DESC
OFFSET %(walked_rows)s
 LIMIT 1

-- name: list_unsettled_payments
-- Reads the indexes of open, awaited and authorized payments, each only for its own statuses. Without
-- MATERIALIZED, the planner would walk the primary key in search of them.
WITH unsettled AS MATERIALIZED (
    SELECT id
      FROM payments
     WHERE %(item_status)s::text IN ('PENDING', 'PROCESSING')
       AND phase = 'OPEN'
       AND status = %(item_status)s::text
       AND id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     UNION ALL
    SELECT id
      FROM payments
     WHERE %(item_status)s::text = 'REQUIRES_ACTION'
       AND phase = 'REQUIRES_ACTION'
       AND id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     UNION ALL
    SELECT id
      FROM payments
     WHERE %(item_status)s::text = 'AUTHORIZED'
       AND phase = 'AUTHORIZED'
       AND id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
)
SELECT
       -- include: payment_columns
  FROM payments
 WHERE id = ANY (ARRAY(SELECT id FROM unsettled ORDER BY id DESC LIMIT %(limit)s))
 ORDER BY id DESC

-- name: list_all_refunds
-- Walks the primary key, down to `walk_end_id`.
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE (%(item_status)s::text IS NULL OR status = %(item_status)s::text)
   AND id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
   AND id >= coalesce(%(walk_end_id)s::uuid, '00000000-0000-0000-0000-000000000000')
 ORDER BY id DESC
 LIMIT %(limit)s

-- name: find_walk_end_of_refunds
SELECT id
  FROM refunds
 WHERE id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
 ORDER BY id DESC
OFFSET %(walked_rows)s
 LIMIT 1

-- name: list_unsettled_refunds
-- As list_unsettled_payments.
WITH unsettled AS MATERIALIZED (
    SELECT id
      FROM refunds
     WHERE phase = 'OPEN'
       AND status = %(item_status)s::text
       AND id < coalesce(%(after_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
)
SELECT
       -- include: refund_columns
  FROM refunds
 WHERE id = ANY (ARRAY(SELECT id FROM unsettled ORDER BY id DESC LIMIT %(limit)s))
 ORDER BY id DESC

-- name: get_payment
SELECT faults, due_at, leased_until,
       -- include: payment_columns
  FROM payments
 WHERE id = %(id)s

-- name: get_refund
SELECT faults, due_at, leased_until,
       -- include: refund_columns
  FROM refunds
 WHERE id = %(id)s

-- name: list_refunds_by_payment
SELECT faults, due_at, leased_until,
       -- include: refund_columns
  FROM refunds
 WHERE payment_id = %(payment_id)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_open_networks
-- One probe of an index per network, however many payments are open.
WITH RECURSIVE payment_networks AS (
    (SELECT network FROM payments WHERE phase = 'OPEN' ORDER BY network LIMIT 1)
    UNION ALL
    SELECT (SELECT payments.network
              FROM payments
             WHERE phase = 'OPEN'
               AND payments.network > payment_networks.network
             ORDER BY payments.network
             LIMIT 1)
      FROM payment_networks
     WHERE payment_networks.network IS NOT NULL
), refund_networks AS (
    (SELECT network FROM refunds WHERE phase = 'OPEN' ORDER BY network LIMIT 1)
    UNION ALL
    SELECT (SELECT refunds.network
              FROM refunds
             WHERE phase = 'OPEN'
               AND refunds.network > refund_networks.network
             ORDER BY refunds.network
             LIMIT 1)
      FROM refund_networks
     WHERE refund_networks.network IS NOT NULL
)
SELECT network FROM payment_networks WHERE network IS NOT NULL
 UNION
SELECT network FROM refund_networks WHERE network IS NOT NULL
 ORDER BY network

-- name: count_parked
-- Reads the index of due work, up to a limit.
SELECT (SELECT count(*)
          FROM (SELECT
                  FROM payments
                 WHERE network = %(network)s
                   AND phase = 'OPEN'
                   AND due_at <= now()
                   AND coalesce(leased_until, due_at) <= now()
                 LIMIT %(limit)s) AS parked_payments)
       + (SELECT count(*)
            FROM (SELECT
                    FROM refunds
                   WHERE network = %(network)s
                     AND phase = 'OPEN'
                     AND due_at <= now()
                     AND coalesce(leased_until, due_at) <= now()
                   LIMIT %(limit)s) AS parked_refunds)

-- name: count_open
-- Reads the indexes of open work, up to a limit.
SELECT (SELECT count(*)
          FROM (SELECT
                  FROM payments
                 WHERE network = %(network)s
                   AND phase = 'OPEN'
                 LIMIT %(limit)s) AS open_payments),
       (SELECT count(*)
          FROM (SELECT
                  FROM refunds
                 WHERE network = %(network)s
                   AND phase = 'OPEN'
                 LIMIT %(limit)s) AS open_refunds)

-- name: count_holds
-- Reads the index of holds by the time at which they end, up to a limit.
SELECT count(*)
  FROM (SELECT
          FROM payments
         WHERE phase = 'AUTHORIZED'
           AND expires_at > coalesce(now() + %(from_now)s::interval, '-infinity')
           AND expires_at <= now() + %(until)s::interval
         LIMIT %(limit)s) AS holds

-- name: measure_backlog
-- Reads the indexes of due work in their order, up to a limit. A lease never ends before its item is due.
SELECT count(*), coalesce(now() - min(claimable_at), interval '0')
  FROM ((SELECT coalesce(leased_until, due_at) AS claimable_at
           FROM payments
          WHERE network = %(network)s
            AND phase = 'OPEN'
            AND due_at <= now()
            AND coalesce(leased_until, due_at) <= now()
          ORDER BY due_at
          LIMIT %(limit)s)
        UNION ALL
        (SELECT coalesce(leased_until, due_at) AS claimable_at
           FROM refunds
          WHERE network = %(network)s
            AND phase = 'OPEN'
            AND due_at <= now()
            AND coalesce(leased_until, due_at) <= now()
          ORDER BY due_at
          LIMIT %(limit)s)) AS due

-- name: sum_unresolved
-- Reads the indexes of open work, as list_unresolved does.
SELECT network, network_state, currency, count(*), sum(amount),
       count(*) FILTER (WHERE is_overdue),
       coalesce(sum(amount) FILTER (WHERE is_overdue), 0), min(unresolved_since)
  FROM (SELECT network, network_state, currency, coalesce(capture_amount, amount) AS amount,
               unresolved_since, unresolved_since <= now() - %(alarm)s::interval AS is_overdue
          FROM payments
         WHERE phase = 'OPEN'
           AND network_state IS NOT NULL
        UNION ALL
        SELECT network, network_state, currency, amount,
               unresolved_since, unresolved_since <= now() - %(alarm)s::interval AS is_overdue
          FROM refunds
         WHERE phase = 'OPEN'
           AND network_state IS NOT NULL) AS unresolved
 GROUP BY network, network_state, currency
 ORDER BY network, network_state, currency

-- name: list_unresolved
-- Reads the indexes of open work. What is open is little compared with what is settled.
SELECT payment_id, refund_id, merchant_id, amount, currency, step, network_state,
       unresolved_since, faults, due_at
  FROM ((SELECT id AS payment_id, NULL::uuid AS refund_id, merchant_id, amount, currency, step,
                network_state, unresolved_since, faults, due_at
           FROM payments
          WHERE phase = 'OPEN'
            AND network_state IS NOT NULL
          ORDER BY unresolved_since, id
          LIMIT %(limit)s)
        UNION ALL
        (SELECT payment_id, id AS refund_id, merchant_id, amount, currency, 'refund' AS step,
                network_state, unresolved_since, faults, due_at
           FROM refunds
          WHERE phase = 'OPEN'
            AND network_state IS NOT NULL
          ORDER BY unresolved_since, id
          LIMIT %(limit)s)) AS unresolved
 ORDER BY unresolved_since, payment_id, refund_id
 LIMIT %(limit)s
