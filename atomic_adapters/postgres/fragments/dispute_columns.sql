id, merchant_id, payment_id, account_id, network, network_reference, amount, currency, fee, reason,
evidence_due_at, created_at, updated_at, status, fee_returned, evidence, pending_response,
response_failure, closed_at, attempt, faults
