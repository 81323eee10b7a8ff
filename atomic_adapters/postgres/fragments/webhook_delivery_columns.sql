id, endpoint_id, merchant_id, event_id, sequence, type, url, status, attempts, next_attempt_at,
created_at, updated_at
