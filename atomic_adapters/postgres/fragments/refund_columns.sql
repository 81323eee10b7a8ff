id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status,
failure_reason, idempotency_key, created_at, updated_at, request_id, claimed_at, attempt,
network_state, unresolved_since
