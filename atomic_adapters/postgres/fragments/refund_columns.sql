id, payment_id, merchant_id, account_id, amount, currency, reason, metadata, status,
failure_reason, idempotency_key, created_at, updated_at, claimed_at, attempt, network_state,
unresolved_since, network_reference,
actor, actor_id, host(client_address), request_id, server_request_id, operator
