-- name: list_postings
-- The leg in the World account, with the sign of a statement: what comes from outside debits it.
SELECT t.id AS transaction_id, t.payment_id, t.refund_id, -e.amount AS amount, w.currency,
       NULL AS dispute_reference
  FROM ledger_transactions t
  JOIN entries e ON e.transaction_id = t.id
  JOIN accounts w ON w.id = e.account_id AND w.merchant_id IS NULL AND w.type = 'asset'
 WHERE t.payment_id = ANY (%(payment_ids)s::uuid[])
   AND t.kind IN ('payment', 'refund')
 UNION ALL
SELECT t.id, d.payment_id, NULL, -e.amount, w.currency, d.network_reference
  FROM disputes d
  JOIN ledger_transactions t ON t.payment_id = d.id AND t.kind IN ('dispute', 'dispute_reversal')
  JOIN entries e ON e.transaction_id = t.id
  JOIN accounts w ON w.id = e.account_id AND w.merchant_id IS NULL AND w.type = 'asset'
 WHERE d.payment_id = ANY (%(payment_ids)s::uuid[])

-- name: list_posted
-- Ids begin with the milliseconds of their creation, so the primary key is in the order of time. They
-- come from the application's clock and `posted_at` from the database's: an hour is allowed between.
SELECT t.id AS transaction_id, p.id AS payment_id, t.refund_id, -e.amount AS amount, w.currency,
       d.network_reference AS dispute_reference
  FROM ledger_transactions t
  LEFT JOIN disputes d ON d.id = t.payment_id AND t.kind IN ('dispute', 'dispute_reversal')
  JOIN payments p ON p.id = coalesce(d.payment_id, t.payment_id) AND p.network = %(network)s
  JOIN entries e ON e.transaction_id = t.id
  JOIN accounts w ON w.id = e.account_id AND w.merchant_id IS NULL AND w.type = 'asset'
 WHERE t.id > %(after_id)s
   AND t.id < %(end_id)s
   AND t.posted_at >= %(begin_at)s
   AND t.posted_at < %(end_at)s
   AND t.kind IN ('payment', 'refund', 'dispute', 'dispute_reversal')
 ORDER BY t.id
 LIMIT %(limit)s

-- name: list_booked_payments
SELECT p.id AS payment_id, p.merchant_id, p.network, p.network_reference, p.status, p.currency,
       (SELECT coalesce(-sum(e.amount), 0)
          FROM ledger_transactions t
          JOIN entries e ON e.transaction_id = t.id
          JOIN accounts w ON w.id = e.account_id AND w.merchant_id IS NULL AND w.type = 'asset'
         WHERE t.payment_id = ANY (ARRAY(SELECT p.id
                                          UNION ALL
                                         SELECT d.id FROM disputes d WHERE d.payment_id = p.id))
           AND t.kind IN ('payment', 'refund', 'dispute', 'dispute_reversal'))::bigint AS net_amount,
       ARRAY(SELECT p.id WHERE p.phase = 'OPEN'
              UNION ALL
             (SELECT r.id FROM refunds r
               WHERE r.payment_id = p.id AND r.phase = 'OPEN' ORDER BY r.id)) AS open_ids
  FROM payments p
 WHERE p.id = ANY (%(payment_ids)s::uuid[])
 ORDER BY p.id

-- name: insert_reconciliation
INSERT INTO reconciliations (id, network, period_begin, period_end, is_scheduled, created_at, is_clean,
                             report)
VALUES (%(id)s, %(network)s, %(begin_at)s, %(end_at)s, %(is_scheduled)s, %(at)s, %(is_clean)s,
        %(report)s)
    ON CONFLICT (network, period_end) WHERE is_scheduled DO NOTHING
RETURNING id

-- name: get_reconciliation
SELECT id, network, period_begin, period_end, is_scheduled, created_at, report
  FROM reconciliations
 WHERE id = %(id)s

-- name: list_reconciliations
SELECT id, network, period_begin, period_end, is_scheduled, created_at, report
  FROM reconciliations
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: get_last_scheduled_reconciliation
SELECT id, network, period_begin, period_end, is_scheduled, created_at, report
  FROM reconciliations
 WHERE network = %(network)s
   AND is_scheduled
 ORDER BY period_end DESC
 LIMIT 1
