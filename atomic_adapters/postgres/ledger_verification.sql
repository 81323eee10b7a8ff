-- name: use_one_snapshot
-- All statements after this one see the same snapshot.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: raise_statement_timeout
SELECT set_config('statement_timeout', %(seconds)s, true)

-- name: count_rows
SELECT (SELECT count(*) FROM accounts),
       (SELECT count(*) FROM ledger_transactions),
       (SELECT count(*) FROM entries),
       (SELECT count(*) FROM payments),
       (SELECT count(*) FROM refunds),
       (SELECT count(*) FROM holds WHERE released_at IS NULL)
       + (SELECT count(*) FROM journal_holds WHERE released_at IS NULL)

-- name: currency_balanced
SELECT a.currency, format('entries sum to %%s', sum(e.amount))
  FROM entries e
  JOIN accounts a ON a.id = e.account_id
 GROUP BY a.currency
HAVING sum(e.amount) <> 0
 ORDER BY a.currency
 LIMIT %(limit)s

-- name: transaction_balanced
-- By currency: a journal transaction may have several.
SELECT by_currency.id::text,
       format('%%s entries in %%s currencies sum to %%s', sum(by_currency.legs),
              count(by_currency.currency), sum(by_currency.total))
  FROM (SELECT t.id, a.currency, count(e.account_id) AS legs, coalesce(sum(e.amount), 0) AS total
          FROM ledger_transactions t
          LEFT JOIN entries e ON e.transaction_id = t.id
          LEFT JOIN accounts a ON a.id = e.account_id
         GROUP BY t.id, a.currency) AS by_currency
 GROUP BY by_currency.id
HAVING bool_or(by_currency.total <> 0)
    OR sum(by_currency.legs) < 2
 ORDER BY by_currency.id
 LIMIT %(limit)s

-- name: balance_is_sum
SELECT a.id::text,
       format('balance is %%s, entries sum to %%s', a.balance, coalesce(e.total, 0))
  FROM accounts a
  LEFT JOIN (SELECT account_id, sum(amount) AS total FROM entries GROUP BY account_id) e
         ON e.account_id = a.id
 WHERE a.balance <> coalesce(e.total, 0)
    OR NOT a.allow_negative
       AND (a.balance < coalesce(a.min_balance, -9007199254740991) OR a.balance > a.max_balance)
       AND NOT EXISTS (SELECT FROM disputes d WHERE d.account_id = a.id AND d.merchant_id = a.merchant_id)
    OR a.merchant_id IS NOT NULL AND a.balance > 9007199254740991
 ORDER BY a.id
 LIMIT %(limit)s

-- name: tip_is_last_entry
SELECT a.id::text,
       format('account is at %%s, its last entry at %%s', a.sequence,
              coalesce(last_entry.sequence, 0))
  FROM accounts a
  LEFT JOIN LATERAL (SELECT e.sequence, e.balance_after, e.hash
                       FROM entries e
                      WHERE e.account_id = a.id
                      ORDER BY e.sequence DESC
                      LIMIT 1) AS last_entry ON true
 WHERE (a.sequence, a.balance, a.head) IS DISTINCT FROM
       (coalesce(last_entry.sequence, 0), coalesce(last_entry.balance_after, 0),
        coalesce(last_entry.hash, chain_start(a)))
 ORDER BY a.id
 LIMIT %(limit)s

-- name: chain_unbroken
-- Builds the bytes of atomic_core.domain.ledger.hash_entry independently, on purpose. No stored
-- value makes this statement fail: numeric does not overflow, and an infinite time or a missing
-- transaction gives a NULL hash, which IS DISTINCT FROM the stored one.
SELECT format('%%s#%%s', c.account_id, c.sequence), 'does not follow the one before'
  FROM (SELECT e.account_id, e.sequence, e.transaction_id, e.amount, e.balance_after, e.hash,
               t.payment_id, t.kind, t.refund_id, t.posted_at, j.effective_at,
               lag(e.sequence, 1, 0::bigint) OVER chain AS previous_sequence,
               lag(e.balance_after, 1, 0::bigint) OVER chain AS previous_balance,
               lag(e.hash) OVER chain AS previous_hash
          FROM entries e
          LEFT JOIN ledger_transactions t ON t.id = e.transaction_id
          LEFT JOIN journal_transactions j ON j.id = t.id AND t.kind = 'journal'
        WINDOW chain AS (PARTITION BY e.account_id ORDER BY e.sequence)) c
  JOIN accounts a ON a.id = c.account_id
 WHERE c.sequence <> c.previous_sequence + 1
    OR c.balance_after <> c.previous_balance::numeric + c.amount
    OR c.hash IS DISTINCT FROM sha256(
           coalesce(c.previous_hash, chain_start(a))
           || uuid_send(c.account_id) || int8send(c.sequence)
           || uuid_send(c.transaction_id) || uuid_send(c.payment_id)
           || int8send(c.amount) || int8send(c.balance_after)
           || int8send(CASE WHEN isfinite(c.posted_at)
                            THEN (extract(epoch FROM c.posted_at) * 1000000)::bigint END)
           || decode(c.kind, 'escape') || coalesce(uuid_send(c.refund_id), ''::bytea)
           || CASE WHEN c.kind <> 'journal' THEN ''::bytea
                   WHEN isfinite(c.effective_at)
                   THEN int8send((extract(epoch FROM c.effective_at) * 1000000)::bigint)
              END)
 ORDER BY c.account_id, c.sequence
 LIMIT %(limit)s

-- name: times_in_order
SELECT format('%%s#%%s', late.account_id, late.sequence), late.problem
  FROM (SELECT c.account_id, c.sequence,
               format('posted at %%s, and the entry before it at %%s', c.posted_at,
                      c.previous_posted_at) AS problem
          FROM (SELECT e.account_id, e.sequence, t.posted_at,
                       lag(t.posted_at) OVER chain AS previous_posted_at
                  FROM entries e
                  JOIN ledger_transactions t ON t.id = e.transaction_id
                WINDOW chain AS (PARTITION BY e.account_id ORDER BY e.sequence)) c
         WHERE c.posted_at < c.previous_posted_at
        UNION ALL
        SELECT a.id, a.sequence, format('the account stores %%s, later than its last entry',
                                        a.last_posted_at)
          FROM accounts a
         WHERE a.last_posted_at IS NOT NULL
           AND (SELECT t.posted_at >= a.last_posted_at
                  FROM entries e
                  JOIN ledger_transactions t ON t.id = e.transaction_id
                 WHERE e.account_id = a.id
                 ORDER BY e.sequence DESC
                 LIMIT 1) IS NOT TRUE) late
 ORDER BY late.account_id, late.sequence
 LIMIT %(limit)s

-- name: payment_posted
SELECT p.id::text,
       CASE WHEN (p.status = 'SUCCESS') = (t.id IS NOT NULL)
            THEN 'posted with another amount or account'
            ELSE format('%%s, yet %%s', p.status,
                        CASE WHEN t.id IS NULL THEN 'not posted' ELSE 'posted' END)
       END
  FROM payments p
 CROSS JOIN LATERAL (SELECT coalesce(p.capture_amount, p.amount) AS captured,
                            coalesce(p.fee_amount, 0) AS fee) AS due
  LEFT JOIN ledger_transactions t ON t.payment_id = p.id AND t.kind = 'payment'
  LEFT JOIN LATERAL (SELECT count(*) AS legs,
                            count(*) FILTER (WHERE e.account_id = p.account_id
                                               AND e.amount = due.captured - due.fee) AS credits,
                            count(*) FILTER (WHERE a.merchant_id IS NULL AND a.type = 'revenue'
                                               AND a.currency = p.currency
                                               AND e.amount = due.fee) AS fees,
                            count(*) FILTER (WHERE a.merchant_id IS NULL AND a.type = 'asset'
                                               AND a.currency = p.currency
                                               AND e.amount = -due.captured) AS debits
                       FROM entries e
                       JOIN accounts a ON a.id = e.account_id
                      WHERE e.transaction_id = t.id) found ON true
 WHERE (p.status = 'SUCCESS') <> (t.id IS NOT NULL)
    -- A fee of 0 and a credit of 0 have no entry.
    OR t.id IS NOT NULL
       AND (found.legs, found.debits, found.credits, found.fees)
           <> (1 + (due.captured > due.fee)::integer + (due.fee > 0)::integer, 1,
               (due.captured > due.fee)::integer, (due.fee > 0)::integer)
 ORDER BY p.id
 LIMIT %(limit)s

-- name: refund_posted
SELECT r.id::text,
       CASE WHEN (r.status = 'SUCCESS') = (t.id IS NOT NULL)
            THEN 'posted with another amount or account'
            ELSE format('%%s, yet %%s', r.status,
                        CASE WHEN t.id IS NULL THEN 'not posted' ELSE 'posted' END)
       END
  FROM refunds r
  LEFT JOIN ledger_transactions t
         ON t.payment_id = r.payment_id AND t.kind = 'refund' AND t.refund_id = r.id
  LEFT JOIN LATERAL (SELECT count(*) AS legs,
                            count(*) FILTER (WHERE e.account_id = r.account_id
                                               AND e.amount = -r.amount) AS debits,
                            count(*) FILTER (WHERE a.merchant_id IS NULL AND a.type = 'asset'
                                               AND a.currency = r.currency
                                               AND e.amount = r.amount) AS credits
                       FROM entries e
                       JOIN accounts a ON a.id = e.account_id
                      WHERE e.transaction_id = t.id) found ON true
 WHERE (r.status = 'SUCCESS') <> (t.id IS NOT NULL)
    OR t.id IS NOT NULL AND (found.legs, found.debits, found.credits) <> (2, 1, 1)
 ORDER BY r.id
 LIMIT %(limit)s

-- name: payment_known
SELECT t.id::text, 'posts a payment, refund or dispute that does not exist'
  FROM ledger_transactions t
 WHERE t.kind IN ('dispute', 'dispute_reversal')
   AND NOT EXISTS (SELECT FROM disputes d WHERE d.id = t.payment_id)
    OR t.kind IN ('payment', 'refund')
   AND (NOT EXISTS (SELECT FROM payments p WHERE p.id = t.payment_id)
        OR t.refund_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM refunds r
                            WHERE r.id = t.refund_id AND r.payment_id = t.payment_id))
 ORDER BY t.id
 LIMIT %(limit)s

-- name: journal_posted
-- FULL JOIN: also ledger transactions without their journal transaction.
SELECT coalesce(j.id, t.id)::text,
       CASE WHEN t.id IS NULL THEN format('%%s, yet not posted', j.status)
            WHEN j.status <> 'POSTED' THEN format('%%s, yet posted', j.status)
            WHEN j.id IS NULL THEN 'posts a journal transaction that does not exist'
            ELSE 'posted with another amount or account, or not of its merchant'
       END
  FROM journal_transactions j
  FULL JOIN (SELECT id FROM ledger_transactions WHERE kind = 'journal') t ON t.id = j.id
 WHERE (j.status = 'POSTED') IS DISTINCT FROM (t.id IS NOT NULL)
    OR EXISTS (SELECT
                 FROM (SELECT account_id, amount FROM journal_entries WHERE transaction_id = j.id)
                      AS requested
                 FULL JOIN (SELECT account_id, amount FROM entries WHERE transaction_id = t.id)
                      AS posted ON posted.account_id = requested.account_id
                 LEFT JOIN accounts a ON a.id = requested.account_id
                WHERE CASE WHEN j.expires_at IS NULL
                           THEN requested.amount IS DISTINCT FROM posted.amount
                           ELSE requested.amount IS NULL
                                OR sign(posted.amount) <> sign(requested.amount)
                                OR abs(posted.amount) > abs(requested.amount)
                      END
                   OR a.merchant_id IS DISTINCT FROM j.merchant_id)
    OR NOT EXISTS (SELECT FROM journal_entries WHERE transaction_id = j.id)
 ORDER BY 1
 LIMIT %(limit)s

-- name: dispute_posted
SELECT d.id::text,
       CASE WHEN p.id IS NULL OR disputed.total > coalesce(p.capture_amount, p.amount)
            THEN 'its payment is not a success of its merchant, or more is disputed than was captured'
            ELSE format('%%s, yet not posted so', d.status)
       END
  FROM disputes d
  LEFT JOIN payments p
         ON p.id = d.payment_id AND p.status = 'SUCCESS'
            AND (p.merchant_id, p.account_id, p.currency, p.network)
                = (d.merchant_id, d.account_id, d.currency, d.network)
 CROSS JOIN LATERAL (SELECT sum(o.amount) AS total
                       FROM disputes o
                      WHERE o.payment_id = d.payment_id AND o.status <> 'WON') disputed
 CROSS JOIN LATERAL (SELECT count(*) AS legs,
                            count(*) FILTER (WHERE t.kind = 'dispute'
                                               AND e.account_id = d.account_id
                                               AND e.amount = -(d.amount + d.fee)
                                                OR t.kind = 'dispute' AND a.type = 'asset'
                                               AND a.merchant_id IS NULL
                                               AND a.currency = d.currency
                                               AND e.amount = d.amount + d.fee) AS openings,
                            count(*) FILTER (WHERE t.kind = 'dispute_reversal'
                                               AND e.account_id = d.account_id
                                               AND e.amount = d.amount + d.fee_returned
                                                OR t.kind = 'dispute_reversal' AND a.type = 'asset'
                                               AND a.merchant_id IS NULL
                                               AND a.currency = d.currency
                                               AND e.amount = -(d.amount + d.fee_returned)) AS reversals
                       FROM ledger_transactions t
                       JOIN entries e ON e.transaction_id = t.id
                       JOIN accounts a ON a.id = e.account_id
                      WHERE t.payment_id = d.id) found
 WHERE p.id IS NULL
    OR disputed.total > coalesce(p.capture_amount, p.amount)
    OR (found.legs, found.openings, found.reversals)
       <> (CASE d.status WHEN 'WON' THEN 4 ELSE 2 END, 2, CASE d.status WHEN 'WON' THEN 2 ELSE 0 END)
 ORDER BY d.id
 LIMIT %(limit)s

-- name: reversal_negates
SELECT r.id::text, 'does not negate the transaction that it reverses'
  FROM journal_transactions r
  LEFT JOIN journal_transactions o ON o.id = r.reverses_id
 WHERE r.reverses_id IS NOT NULL
   AND (o.id IS NULL
        OR o.merchant_id <> r.merchant_id
        OR o.reverses_id IS NOT NULL
        OR EXISTS (SELECT
                     FROM (SELECT account_id, amount FROM entries WHERE transaction_id = r.id)
                          AS negated
                     FULL JOIN (SELECT account_id, amount FROM entries WHERE transaction_id = o.id)
                          AS original ON original.account_id = negated.account_id
                    WHERE negated.amount IS DISTINCT FROM -original.amount))
 ORDER BY r.id
 LIMIT %(limit)s

-- name: payment_account_fits
SELECT p.id::text, 'its account is not the merchant''s, or of another currency'
  FROM payments p
 WHERE NOT EXISTS (SELECT FROM accounts a
                    WHERE (a.id, a.merchant_id, a.currency)
                          = (p.account_id, p.merchant_id, p.currency))
 ORDER BY p.id
 LIMIT %(limit)s

-- name: refunds_summed
SELECT p.id::text,
       format('amount_refunded is %%s and refunds_reserved %%s, its refunds sum to %%s and %%s',
              coalesce(p.amount_refunded, 0), coalesce(p.refunds_reserved, 0),
              coalesce(r.refunded, 0), coalesce(r.reserved, 0))
  FROM payments p
  FULL JOIN (SELECT payment_id,
                    sum(amount) FILTER (WHERE status = 'SUCCESS') AS refunded,
                    sum(amount) FILTER (WHERE status <> 'FAILED') AS reserved,
                    min(merchant_id::text) AS min_merchant_id,
                    max(merchant_id::text) AS max_merchant_id,
                    min(account_id::text) AS min_account_id,
                    max(account_id::text) AS max_account_id,
                    min(currency) AS min_currency, max(currency) AS max_currency
               FROM refunds
              GROUP BY payment_id) r ON r.payment_id = p.id
 WHERE coalesce(p.amount_refunded, 0) <> coalesce(r.refunded, 0)
    OR coalesce(p.refunds_reserved, 0) <> coalesce(r.reserved, 0)
    OR coalesce(r.reserved, 0)
       > CASE p.status WHEN 'SUCCESS' THEN coalesce(p.capture_amount, p.amount) ELSE 0 END
    OR r.payment_id IS NOT NULL
       AND (r.min_merchant_id, r.max_merchant_id, r.min_account_id, r.max_account_id,
            r.min_currency, r.max_currency)
           IS DISTINCT FROM (p.merchant_id::text, p.merchant_id::text, p.account_id::text,
                             p.account_id::text, p.currency, p.currency)
 ORDER BY p.id
 LIMIT %(limit)s

-- name: hold_fits
SELECT coalesce(r.id, p.id, h.payment_id)::text,
       CASE WHEN h.payment_id IS NULL THEN format('%%s, and nothing is held', p.status)
            WHEN r.id IS NULL THEN format('%%s, and %%s is held', p.status, h.amount)
            ELSE format('%%s, and %%s is held', r.status, h.amount)
       END
  FROM (SELECT payment_id, refund_id, debit_account_id, credit_account_id, amount
          FROM holds
         WHERE released_at IS NULL) h
  LEFT JOIN refunds r ON r.id = h.refund_id AND r.payment_id = h.payment_id
  FULL JOIN payments p ON p.id = h.payment_id AND h.refund_id IS NULL
  LEFT JOIN accounts d ON d.id = h.debit_account_id
  LEFT JOIN accounts c ON c.id = h.credit_account_id
 WHERE CASE
           WHEN h.refund_id IS NULL
           THEN (h.payment_id IS NOT NULL)
                <> (p.id IS NOT NULL
                    AND (p.status = 'AUTHORIZED'
                         OR p.status = 'PROCESSING'
                            AND (p.step IN ('capture', 'void', 'expire')
                                 -- A reversal of what the ledger refused never had a hold.
                                 OR p.step = 'reverse' AND p.capture_amount IS NOT NULL)))
                OR h.payment_id IS NOT NULL
                   AND ((h.credit_account_id, h.amount, d.type, d.currency, d.merchant_id)
                        IS DISTINCT FROM (p.account_id, p.amount, 'asset', p.currency, NULL))
           ELSE r.status IS DISTINCT FROM 'PROCESSING'
                OR (h.debit_account_id, h.amount, c.type, c.currency, c.merchant_id)
                   IS DISTINCT FROM (r.account_id, r.amount, 'asset', r.currency, NULL)
       END
 ORDER BY 1
 LIMIT %(limit)s

-- name: unresolved_fits
-- Reads the open rows, which are few, and finds the others by their keys.
SELECT id::text,
       CASE WHEN posted IS NOT NULL THEN format('%%s at the network, and posted', network_state)
            ELSE format('%%s at the network, and %%s is held instead of %%s', network_state,
                        coalesce(held, 0), coalesce(expected, 0))
       END
  FROM (SELECT p.id, p.network_state, t.id AS posted, h.amount AS held,
               CASE WHEN p.step IN ('capture', 'void', 'expire')
                         OR p.step = 'reverse' AND p.capture_amount IS NOT NULL
                    THEN p.amount
               END AS expected
          FROM payments p
          LEFT JOIN ledger_transactions t ON t.payment_id = p.id AND t.refund_id IS NULL
          LEFT JOIN holds h ON h.payment_id = p.id AND h.refund_id IS NULL
                           AND h.released_at IS NULL
         WHERE p.phase = 'OPEN'
           AND p.network_state IS NOT NULL
        UNION ALL
        SELECT r.id, r.network_state, t.id, h.amount, r.amount
          FROM refunds r
          LEFT JOIN ledger_transactions t ON t.payment_id = r.payment_id AND t.refund_id = r.id
          LEFT JOIN holds h ON h.payment_id = r.payment_id AND h.refund_id = r.id
                           AND h.released_at IS NULL
         WHERE r.phase = 'OPEN'
           AND r.network_state IS NOT NULL) unresolved
 WHERE posted IS NOT NULL
    OR held IS DISTINCT FROM expected
 ORDER BY id
 LIMIT %(limit)s

-- name: journal_hold_fits
SELECT coalesce(j.id, h.transaction_id)::text,
       CASE WHEN h.transaction_id IS NULL THEN format('%%s, and nothing is held', j.status)
            ELSE format('%%s, and %%s is held', j.status, h.amount)
       END
  FROM (SELECT j.id, j.status, requested.account_id, requested.amount
          FROM journal_transactions j
          JOIN journal_entries requested ON requested.transaction_id = j.id
         WHERE j.status = 'PENDING') j
  FULL JOIN (SELECT transaction_id, account_id, amount
               FROM journal_holds
              WHERE released_at IS NULL) h
         ON h.transaction_id = j.id AND h.account_id = j.account_id
 WHERE j.amount IS DISTINCT FROM h.amount
 ORDER BY 1
 LIMIT %(limit)s

-- name: pending_is_sum
SELECT a.id::text,
       format('pending_in is %%s and pending_out %%s, its holds sum to %%s and %%s',
              a.pending_in, a.pending_out,
              coalesce(h.pending_in, 0), coalesce(h.pending_out, 0))
  FROM accounts a
  LEFT JOIN (SELECT side.account_id, sum(side.pending_in) AS pending_in,
                    sum(side.pending_out) AS pending_out
               FROM (SELECT ends.account_id, ends.pending_in, ends.pending_out
                       FROM holds
                      CROSS JOIN LATERAL (VALUES (credit_account_id, amount, 0),
                                                 (debit_account_id, 0, amount))
                            AS ends (account_id, pending_in, pending_out)
                      WHERE released_at IS NULL
                     UNION ALL
                     SELECT account_id, greatest(amount, 0), greatest(-amount, 0)
                       FROM journal_holds
                      WHERE released_at IS NULL) side
              GROUP BY side.account_id) h ON h.account_id = a.id
 WHERE (a.pending_in, a.pending_out) <> (coalesce(h.pending_in, 0), coalesce(h.pending_out, 0))
    OR NOT a.allow_negative
       AND a.balance - a.pending_out < coalesce(a.min_balance, -9007199254740991)
       AND NOT EXISTS (SELECT FROM disputes d WHERE d.account_id = a.id AND d.merchant_id = a.merchant_id)
 ORDER BY a.id
 LIMIT %(limit)s

-- name: status_kept
SELECT a.id::text,
       CASE WHEN kept.is_filled
            THEN format('is CLOSED with a balance of %%s, and %%s and %%s pending', a.balance,
                        a.pending_in, a.pending_out)
            ELSE format('is %%s, and was posted to afterwards', a.status)
       END
  FROM accounts a
 CROSS JOIN LATERAL (
           SELECT a.status = 'CLOSED' AND (a.balance, a.pending_in, a.pending_out) <> (0, 0, 0)
                  AND NOT EXISTS (SELECT FROM disputes d
                                   WHERE d.account_id = a.id AND d.merchant_id = a.merchant_id)
                  AS is_filled) AS kept
 WHERE a.status <> 'OPEN'
   AND (kept.is_filled
        OR EXISTS (SELECT FROM entries e
                     JOIN ledger_transactions t ON t.id = e.transaction_id
                    WHERE e.account_id = a.id
                      AND t.posted_at > coalesce(a.status_changed_at, '-infinity')
                      AND t.kind NOT IN ('dispute', 'dispute_reversal')
                      AND NOT EXISTS (SELECT FROM holds h
                                       WHERE h.payment_id = t.payment_id
                                         AND h.refund_id IS NOT DISTINCT FROM t.refund_id)))
 ORDER BY a.id
 LIMIT %(limit)s

-- name: total_is_sum
-- Independently of the triggers that keep the totals. Groups that do not fit into work_mem go to disk.
SELECT format('%%s/%%s/%%s/%%s', merchant_id, day, currency, status),
       format('the total is %%s payments, %%s, refunded %%s, fees %%s; they sum to %%s, %%s, %%s, %%s',
              coalesce(total.payments, 0), coalesce(total.amount, 0), coalesce(total.refunded, 0),
              coalesce(total.fees, 0), coalesce(p.payments, 0), coalesce(p.amount, 0),
              coalesce(p.refunded, 0), coalesce(p.fees, 0))
  FROM (SELECT merchant_id, day, currency, status, sum(payments) AS payments,
               sum(amount) AS amount, sum(refunded) AS refunded, sum(fees) AS fees
          FROM payment_totals
         GROUP BY merchant_id, day, currency, status) total
  FULL JOIN (SELECT merchant_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status,
                    count(*) AS payments,
                    sum(CASE status WHEN 'SUCCESS' THEN coalesce(capture_amount, amount)
                                    ELSE amount
                        END) AS amount,
                    sum(amount_refunded) AS refunded, sum(fee_amount) AS fees
               FROM payments
              WHERE phase <> 'OPEN'
              GROUP BY 1, 2, 3, 4) p
            USING (merchant_id, day, currency, status)
 WHERE (coalesce(total.payments, 0), coalesce(total.amount, 0), coalesce(total.refunded, 0),
        coalesce(total.fees, 0))
       <> (coalesce(p.payments, 0), coalesce(p.amount, 0), coalesce(p.refunded, 0),
           coalesce(p.fees, 0))
 ORDER BY merchant_id, day, currency, status
 LIMIT %(limit)s

-- name: snapshot_is_entry
SELECT format('%%s/%%s', s.account_id, s.day),
       format('%%s is not what entry %%s left on that day', s.balance, s.sequence)
  FROM balance_snapshots s
  LEFT JOIN entries e ON e.account_id = s.account_id AND e.sequence = s.sequence
  LEFT JOIN ledger_transactions t ON t.id = e.transaction_id
 WHERE (e.balance_after, (t.posted_at AT TIME ZONE 'UTC')::date)
       IS DISTINCT FROM (s.balance, s.day)
 ORDER BY s.account_id, s.day
 LIMIT %(limit)s

-- name: shift_is_sum
SELECT format('%%s/%%s/%%s', account_id, unit, starts_at AT TIME ZONE 'UTC'),
       format('%%s is shifted, and the entries sum to %%s', coalesce(kept.amount, 0),
              coalesce(sums.amount, 0))
  FROM effective_shifts AS kept
  FULL JOIN (SELECT e.account_id, shifted.unit, shifted.starts_at, sum(shifted.change) AS amount
               FROM journal_transactions j
               JOIN ledger_transactions t ON t.id = j.id
               JOIN entries e ON e.transaction_id = t.id
              CROSS JOIN LATERAL shift_rows(e.amount, j.effective_at, t.posted_at) AS shifted
              GROUP BY e.account_id, shifted.unit, shifted.starts_at) AS sums
            USING (account_id, unit, starts_at)
 WHERE coalesce(kept.amount, 0) <> coalesce(sums.amount, 0)
 ORDER BY account_id, unit, starts_at
 LIMIT %(limit)s

-- name: period_digest_fits
-- Builds the text of atomic_core.domain.periods.compute_digest independently, on purpose.
SELECT p.id::text, 'its digest is not that of its balances and of the period before'
  FROM (SELECT id, merchant_id, starts_on, ends_on, accounts, digest, previous_digest,
               lag(digest) OVER (PARTITION BY merchant_id ORDER BY ends_on) AS last_digest
          FROM ledger_periods) p
  LEFT JOIN LATERAL (SELECT count(*) AS accounts,
                            string_agg(format(E'%%s %%s %%s\n', b.account_id, b.currency, b.balance),
                                       '' ORDER BY b.sequence) AS lines
                       FROM closing_balances b
                      WHERE b.period_id = p.id) AS kept ON true
 WHERE (p.digest, p.previous_digest, p.accounts) IS DISTINCT FROM
       (sha256(convert_to(
            format(E'atomic ledger period 1\nmerchant %%s\nfrom %%s\nto %%s\nprevious %%s\n%%s',
                   p.merchant_id, coalesce(to_char(p.starts_on, 'YYYY-MM-DD'), '-'),
                   to_char(p.ends_on, 'YYYY-MM-DD'),
                   coalesce(encode(p.previous_digest, 'hex'), '-'), coalesce(kept.lines, '')),
            'UTF8')),
        p.last_digest, kept.accounts)
 ORDER BY p.id
 LIMIT %(limit)s

-- name: closing_balance_is_sum
-- Also of accounts that have no closing balance: nothing may take effect in them before.
SELECT format('%%s/%%s', wrong.period_id, wrong.account_id),
       format('%%s was kept, and the entries sum to %%s', wrong.kept, wrong.total)
  FROM (SELECT p.id AS period_id, a.id AS account_id, coalesce(b.balance, 0) AS kept,
               coalesce((SELECT sum(e.amount)
                           FROM entries e
                           JOIN ledger_transactions t ON t.id = e.transaction_id
                           LEFT JOIN journal_transactions j ON j.id = t.id AND t.kind = 'journal'
                          WHERE e.account_id = a.id
                            AND coalesce(j.effective_at, t.posted_at)
                                < (p.ends_on + 1)::timestamp AT TIME ZONE 'UTC'), 0) AS total
          FROM ledger_periods p
          JOIN accounts a ON a.merchant_id = p.merchant_id
          LEFT JOIN closing_balances b ON b.period_id = p.id AND b.account_id = a.id) wrong
 WHERE wrong.kept <> wrong.total
 ORDER BY wrong.period_id, wrong.account_id
 LIMIT %(limit)s
