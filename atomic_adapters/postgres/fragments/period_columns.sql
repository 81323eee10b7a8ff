id, merchant_id, starts_on, ends_on, closed_at, accounts, digest, previous_digest
