id, merchant_id, url, event_types, description, is_ordered, status, disabled_reason, position,
created_at, updated_at
