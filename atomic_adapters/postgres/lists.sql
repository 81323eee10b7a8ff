-- name: list_payments
-- One probe of the index for each of the merchant's currencies and each phase, in order of age, and
-- each no longer than the page; the page is the newest of what they found. `held` finds the
-- currencies by a jump each, however many accounts there are.
WITH RECURSIVE held (currency) AS (
    (SELECT accounts.currency
       FROM accounts
      WHERE accounts.merchant_id = %(merchant_id)s
      ORDER BY accounts.currency
      LIMIT 1)
    UNION ALL
    SELECT (SELECT accounts.currency
              FROM accounts
             WHERE accounts.merchant_id = %(merchant_id)s
               AND accounts.currency > held.currency
             ORDER BY accounts.currency
             LIMIT 1)
      FROM held
     WHERE held.currency IS NOT NULL
)
SELECT found.id, found.merchant_id, found.account_id, found.amount, found.currency, found.source,
       found.description, found.status, found.idempotency_key, found.webhook_url,
       found.failure_reason, found.created_at, found.updated_at
  FROM held
 CROSS JOIN unnest(%(phases)b::text[]) AS wanted (phase)
 CROSS JOIN LATERAL (
           SELECT payments.id, payments.merchant_id, payments.account_id, payments.amount,
                  payments.currency, payments.source, payments.description, payments.status,
                  payments.idempotency_key, payments.webhook_url, payments.failure_reason,
                  payments.created_at, payments.updated_at
             FROM payments
            WHERE payments.merchant_id = %(merchant_id)s
              AND payments.currency = held.currency
              AND payments.phase = wanted.phase
              AND payments.status = ANY(%(statuses)b::text[])
              AND (payments.created_at, payments.id) < (%(top_at)s, %(top_id)s)
              AND payments.created_at >= %(created_from)s
              AND payments.amount BETWEEN %(amount_min)s AND %(amount_max)s
            ORDER BY payments.created_at DESC, payments.id DESC
            LIMIT %(limit)s) AS found
 WHERE held.currency = coalesce(%(currency)s::text, held.currency)
 ORDER BY found.created_at DESC, found.id DESC
 LIMIT %(limit)s

-- name: count_payments_by_amount
-- Counts no further than `few`.
SELECT count(*)
  FROM (SELECT
          FROM payments
         WHERE payments.merchant_id = %(merchant_id)s
           AND payments.amount BETWEEN %(amount_min)s AND %(amount_max)s
         LIMIT %(few)s) AS some

-- name: list_payments_by_amount
-- For a range of amounts that few payments fall into: all of those, and what is left of them.
WITH few AS MATERIALIZED (
    SELECT payments.id, payments.merchant_id, payments.account_id, payments.amount,
           payments.currency, payments.source, payments.description, payments.status,
           payments.idempotency_key, payments.webhook_url, payments.failure_reason,
           payments.created_at, payments.updated_at
      FROM payments
     WHERE payments.merchant_id = %(merchant_id)s
       AND payments.amount BETWEEN %(amount_min)s AND %(amount_max)s
)
SELECT few.id, few.merchant_id, few.account_id, few.amount, few.currency, few.source,
       few.description, few.status, few.idempotency_key, few.webhook_url, few.failure_reason,
       few.created_at, few.updated_at
  FROM few
 WHERE few.currency = coalesce(%(currency)s::text, few.currency)
   AND few.status = ANY(%(statuses)b::text[])
   AND (few.created_at, few.id) < (%(top_at)s, %(top_id)s)
   AND few.created_at >= %(created_from)s
 ORDER BY few.created_at DESC, few.id DESC
 LIMIT %(limit)s

-- name: rarest_payment_pair
-- Which of several pairs to go by. Counts no further than `few`.
SELECT pair.key, pair.value
  FROM unnest(%(keys)b::text[], %(values)b::text[]) AS pair (key, value)
 CROSS JOIN LATERAL (
           SELECT count(*) AS times
             FROM (SELECT
                     FROM payment_metadata
                    WHERE payment_metadata.merchant_id = %(merchant_id)s
                      AND payment_metadata.key = pair.key
                      AND payment_metadata.value = pair.value
                    LIMIT %(few)s) AS some) AS counted
 ORDER BY counted.times
 LIMIT 1

-- name: list_payments_by_metadata
-- In the order of one pair; the others are looked for on the payments themselves.
SELECT payments.id, payments.merchant_id, payments.account_id, payments.amount,
       payments.currency, payments.source, payments.description, payments.status,
       payments.idempotency_key, payments.webhook_url, payments.failure_reason,
       payments.created_at, payments.updated_at
  FROM payment_metadata
  JOIN payments ON payments.id = payment_metadata.payment_id
 WHERE payment_metadata.merchant_id = %(merchant_id)s
   AND payment_metadata.key = %(key)s
   AND payment_metadata.value = %(value)s
   AND (payment_metadata.created_at, payment_metadata.payment_id) < (%(top_at)s, %(top_id)s)
   AND payment_metadata.created_at >= %(created_from)s
   AND payments.metadata @> %(metadata)s
   AND payments.currency = coalesce(%(currency)s::text, payments.currency)
   AND payments.status = ANY(%(statuses)b::text[])
   AND payments.amount BETWEEN %(amount_min)s AND %(amount_max)s
 ORDER BY payment_metadata.created_at DESC, payment_metadata.payment_id DESC
 LIMIT %(limit)s

-- name: list_accounts
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_accounts_of_currency
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at
  FROM accounts
 WHERE merchant_id = %(merchant_id)s
   AND currency = %(currency)s
   AND (created_at, id) < (%(top_at)s, %(top_id)s)
   AND created_at >= %(created_from)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_entries
-- An account's entries stand in order of time: the first at or after a moment is found by halving,
-- twenty steps for a million entries. `sides` are the two ends of the span, as sequence numbers.
WITH RECURSIVE halving (side, moment, low, high) AS (
    SELECT side.side, side.moment, 1::bigint, accounts.sequence + 1
      FROM accounts
     CROSS JOIN (VALUES ('from', %(created_from)s::timestamptz),
                        ('to', %(created_to)s::timestamptz)) AS side (side, moment)
     WHERE accounts.id = %(account_id)s
    UNION ALL
    SELECT halving.side, halving.moment,
           CASE WHEN middle.posted_at < halving.moment THEN (halving.low + halving.high) / 2 + 1
                ELSE halving.low
           END,
           CASE WHEN middle.posted_at < halving.moment THEN halving.high
                ELSE (halving.low + halving.high) / 2
           END
      FROM halving
     CROSS JOIN LATERAL (
               SELECT ledger_transactions.posted_at
                 FROM entries
                 JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
                WHERE entries.account_id = %(account_id)s
                  AND entries.sequence = (halving.low + halving.high) / 2) AS middle
     WHERE halving.low < halving.high
), sides AS MATERIALIZED (
    SELECT max(low) FILTER (WHERE side = 'from') AS first,
           max(low) FILTER (WHERE side = 'to') AS behind
      FROM halving
     WHERE low = high
)
SELECT entries.account_id, entries.sequence, entries.transaction_id,
       ledger_transactions.payment_id, NULL::uuid AS refund_id, ledger_transactions.kind,
       entries.amount, entries.balance_after, ledger_transactions.posted_at
  FROM sides
  JOIN entries ON entries.account_id = %(account_id)s
              AND entries.sequence >= sides.first
              AND entries.sequence < least(sides.behind, %(before)s)
  JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
 ORDER BY entries.sequence DESC
 LIMIT %(limit)s
