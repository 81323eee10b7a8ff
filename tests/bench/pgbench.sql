-- Settles one payment without batching: a transaction of seven statements posts a double entry and
-- locks both accounts in id order, one of them the World account that every payment needs. There are
-- no hashes, triggers or foreign keys, and no index that is not needed.
-- Each client has its own payments, counted by n.
\set n :n + 1
\set payment :n * 8 + :client_id
\set merchant random(1, 100)
\set amount random(1, 10000)
\set debit 0 - :amount
BEGIN;
SELECT id, balance FROM reference.accounts WHERE id IN (0, :merchant) ORDER BY id FOR UPDATE;
INSERT INTO reference.transactions (payment_id, posted_at) VALUES (:payment, now()) RETURNING id AS transaction \gset
INSERT INTO reference.entries (transaction_id, account_id, amount) VALUES (:transaction, 0, :debit);
INSERT INTO reference.entries (transaction_id, account_id, amount) VALUES (:transaction, :merchant, :amount);
UPDATE reference.accounts SET balance = balance - :amount WHERE id = 0;
UPDATE reference.accounts SET balance = balance + :amount WHERE id = :merchant;
UPDATE reference.orders SET status = 'SUCCESS', updated_at = now() WHERE id = :payment;
COMMIT;
