id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at, type,
pending_in, pending_out, status, status_changed_at, max_balance, external_id,
coalesce(metadata, '{}') AS metadata,
CASE WHEN allow_negative THEN NULL ELSE min_balance END AS min_balance,
-- NULL: not posted to since migration 0012.
coalesce(last_posted_at,
         (SELECT ledger_transactions.posted_at
            FROM entries
            JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
           WHERE entries.account_id = accounts.id
           ORDER BY entries.sequence DESC
           LIMIT 1)) AS last_posted_at
