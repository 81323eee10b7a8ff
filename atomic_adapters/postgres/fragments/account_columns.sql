id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at, type,
pending_in, pending_out
