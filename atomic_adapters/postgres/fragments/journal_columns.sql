id, merchant_id, status, description, metadata, external_id, effective_at, created_at,
(SELECT ledger_transactions.posted_at
   FROM ledger_transactions
  WHERE ledger_transactions.id = journal_transactions.id) AS posted_at,
reverses_id,
(SELECT reversal.id
   FROM journal_transactions AS reversal
  WHERE reversal.reverses_id = journal_transactions.id) AS reversed_by_id,
idempotency_key, actor, actor_id, host(client_address), request_id, server_request_id, operator,
expires_at, resolved_at
