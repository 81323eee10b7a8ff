id, merchant_id, name, currency, allow_negative, balance, sequence, head, created_at, type,
pending_in, pending_out,
-- NULL: not posted to since migration 0012.
coalesce(last_posted_at,
         (SELECT ledger_transactions.posted_at
            FROM entries
            JOIN ledger_transactions ON ledger_transactions.id = entries.transaction_id
           WHERE entries.account_id = accounts.id
           ORDER BY entries.sequence DESC
           LIMIT 1)) AS last_posted_at
