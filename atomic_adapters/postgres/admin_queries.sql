-- name: list_all_merchants
SELECT id, name, created_at
  FROM merchants
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_all_accounts
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at,
       type, pending_in, pending_out
  FROM accounts
 WHERE merchant_id IS NOT NULL
   AND (%(currency)s::text IS NULL OR currency = %(currency)s::text)
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s

-- name: list_system_accounts
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at,
       type, pending_in, pending_out
  FROM accounts
 WHERE merchant_id IS NULL
 ORDER BY currency COLLATE "C", type COLLATE "C"

-- name: get_account
SELECT id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at,
       type, pending_in, pending_out
  FROM accounts
 WHERE id = %(id)s

-- name: list_all_payments
-- The phase says less than the status, but indexes know it: open ones and holds are few.
SELECT id, merchant_id, account_id, amount, currency, source, description, status,
       idempotency_key, webhook_url, failure_reason, created_at, updated_at, capture, step,
       metadata, request_id, claimed_at, attempt, expires_at, capture_amount,
       cancellation_reason, fee_amount, refunds_reserved, amount_refunded
  FROM payments
 WHERE (%(only)s::text IS NULL OR status = %(only)s::text)
   AND (%(phase)s::text IS NULL OR phase = %(phase)s::text)
 ORDER BY id DESC
 LIMIT %(limit)s

-- name: get_payment
SELECT faults, due_at, leased_until, id, merchant_id, account_id, amount, currency, source,
       description, status, idempotency_key, webhook_url, failure_reason, created_at, updated_at,
       capture, step, metadata, request_id, claimed_at, attempt, expires_at, capture_amount,
       cancellation_reason, fee_amount, refunds_reserved, amount_refunded
  FROM payments
 WHERE id = %(id)s

-- name: get_refund
SELECT faults, due_at, leased_until, id, payment_id, merchant_id, account_id, amount, currency,
       reason, metadata, status, failure_reason, idempotency_key, created_at, updated_at,
       request_id, claimed_at, attempt
  FROM refunds
 WHERE id = %(id)s

-- name: list_refunds_of_payment
SELECT faults, due_at, leased_until, id, payment_id, merchant_id, account_id, amount, currency,
       reason, metadata, status, failure_reason, idempotency_key, created_at, updated_at,
       request_id, claimed_at, attempt
  FROM refunds
 WHERE payment_id = %(payment_id)s
 ORDER BY created_at DESC, id DESC
 LIMIT %(limit)s
