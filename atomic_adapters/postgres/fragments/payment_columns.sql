id, merchant_id, account_id, amount, currency, source, description, status, idempotency_key,
webhook_url, failure_reason, created_at, updated_at, capture, step, metadata, claimed_at, attempt,
expires_at, capture_amount, cancellation_reason, fee_amount, refunds_reserved, amount_refunded,
network_state, unresolved_since, network_reference, network, next_action_type, next_action_url,
actor, actor_id, host(client_address), request_id, server_request_id, operator
