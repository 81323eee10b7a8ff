"""Statements that would falsify the books, each with the SQLSTATE that refuses it."""

from atomic_adapters.embedded.roles import OWNER_ROLE

DENIED = "42501"
"""insufficient_privilege: the role lacks it, whatever triggers are there."""

GUARDED = "23001"
"""restrict_violation: the application may write this column, and a trigger refuses the change."""

UNBALANCED = "23514"
"""check_violation: the books would not agree."""

ATTACKS = {
    # Entries and ledger transactions.
    "change an entry": (DENIED, "UPDATE entries SET amount = 1"),
    "delete entries": (DENIED, "DELETE FROM entries"),
    "truncate entries": (DENIED, "TRUNCATE entries"),
    "delete entries by MERGE": (
        DENIED,
        "MERGE INTO entries USING accounts ON account_id = id WHEN MATCHED THEN DELETE",
    ),
    "replace an entry": (
        DENIED,
        (
            "INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after,"
            " hash) SELECT account_id, sequence, transaction_id, 1, 1, hash FROM entries"
            " ON CONFLICT (account_id, sequence) DO UPDATE SET amount = 1"
        ),
    ),
    "an entry without a transaction": (
        UNBALANCED,
        (
            "INSERT INTO entries (account_id, sequence, transaction_id, amount, balance_after,"
            " hash) SELECT account_id, sequence + 9, transaction_id, 1, 1, hash"
            " FROM entries LIMIT 1"
        ),
    ),
    "change a ledger transaction": (DENIED, "UPDATE ledger_transactions SET posted_at = now()"),
    "delete ledger transactions": (DENIED, "DELETE FROM ledger_transactions"),
    "lock the ledger": (DENIED, "BEGIN; LOCK TABLE entries IN ACCESS EXCLUSIVE MODE"),
    "truncate everything": (DENIED, "TRUNCATE accounts, payments, refunds, holds CASCADE"),
    # Accounts.
    "give an account a balance": (UNBALANCED, "UPDATE accounts SET balance = balance + 1"),
    "open an account with a balance": (
        DENIED,
        (
            "INSERT INTO accounts (id, name, currency, head, balance)"
            " VALUES (uuidv7(), 'x', 'USD', sha256(''), 100)"
        ),
    ),
    "give an account away": (DENIED, "UPDATE accounts SET merchant_id = NULL"),
    "let an account go negative": (DENIED, "UPDATE accounts SET allow_negative = true"),
    "release what is pending": (DENIED, "UPDATE accounts SET pending_in = 0, pending_out = 0"),
    "delete accounts": (DENIED, "DELETE FROM accounts"),
    # Payments, refunds, holds.
    "change the amount of a payment": (DENIED, "UPDATE payments SET amount = 1"),
    "pay another merchant": (DENIED, "UPDATE payments SET merchant_id = uuidv7()"),
    "reopen a settled payment": (
        GUARDED,
        "UPDATE payments SET status = 'PENDING' WHERE status = 'SUCCESS'",
    ),
    "fail a settled payment": (
        GUARDED,
        "UPDATE payments SET status = 'FAILED', failure_reason = 'x' WHERE status = 'SUCCESS'",
    ),
    "take a fee afterwards": (
        GUARDED,
        "UPDATE payments SET fee_amount = 1 WHERE status = 'SUCCESS'",
    ),
    "succeed without a posting": (
        UNBALANCED,
        "UPDATE payments SET status = 'SUCCESS' WHERE status = 'PENDING'",
    ),
    "forget a refund": (DENIED, "UPDATE payments SET amount_refunded = 0, refunds_reserved = 0"),
    "insert a settled payment": (
        DENIED,
        (
            "INSERT INTO payments (id, merchant_id, account_id, amount, currency, source,"
            " description, status)"
            " SELECT uuidv7(), merchant_id, id, 1, currency, 'x', 'x', 'SUCCESS' FROM accounts"
        ),
    ),
    "delete payments": (DENIED, "DELETE FROM payments"),
    "change the amount of a refund": (DENIED, "UPDATE refunds SET amount = 1"),
    "delete refunds": (DENIED, "DELETE FROM refunds"),
    "change the amount of a hold": (DENIED, "UPDATE holds SET amount = 1"),
    "delete holds": (DENIED, "DELETE FROM holds"),
    "hide a payment from lists": (DENIED, "DELETE FROM payment_amounts"),
    "list a payment under another amount": (
        DENIED,
        (
            "INSERT INTO payment_amounts (merchant_id, amount, payment_id)"
            " SELECT merchant_id, 1, id FROM payments"
        ),
    ),
    "skip the check at the commit": (DENIED, "DELETE FROM posting_checks"),
    "skip the check of accounts": (DENIED, "DELETE FROM account_checks"),
    "skip the check of successes": (DENIED, "DELETE FROM success_checks"),
    "skip the check of streams": (DENIED, "DELETE FROM stream_checks"),
    # Events, audit log, keys.
    "let an event name another payment": (
        DENIED,
        "UPDATE network_events SET payment_id = uuidv7()",
    ),
    "change the amount of a dispute": (DENIED, "UPDATE disputes SET amount = 1"),
    "dispute another payment": (DENIED, "UPDATE disputes SET payment_id = uuidv7()"),
    "delete disputes": (DENIED, "DELETE FROM disputes"),
    "record a dispute without a posting": (
        UNBALANCED,
        (
            "INSERT INTO disputes (id, merchant_id, payment_id, account_id, network,"
            " network_reference, status, amount, currency, fee, reason, created_at, updated_at,"
            " due_at) SELECT uuidv7(), merchant_id, id, account_id, network, 'dp_x',"
            " 'NEEDS_RESPONSE', 1, currency, 0, 'x', now(), now(), now() FROM payments"
            " WHERE status = 'SUCCESS' LIMIT 1"
        ),
    ),
    "change a reconciliation": (DENIED, "UPDATE reconciliations SET is_clean = true"),
    "delete reconciliations": (DENIED, "DELETE FROM reconciliations"),
    "change an event": (DENIED, "UPDATE events SET type = 'x'"),
    "delete events": (GUARDED, "DELETE FROM events"),
    "number an event": (
        UNBALANCED,
        (
            "INSERT INTO events (id, merchant_id, sequence, type, payment_id, status, occurred_at)"
            " SELECT id, merchant_id, 99, 'payment.failed', id, 'FAILED', now() FROM payments"
            " LIMIT 1"
        ),
    ),
    "forget the numbers of a stream": (DENIED, "DELETE FROM event_counters"),
    "move the numbers of a stream": (DENIED, "UPDATE event_counters SET merchant_id = NULL"),
    "change the audit log": (DENIED, "UPDATE audit_log SET actor = 'anonymous'"),
    "delete the audit log": (DENIED, "DELETE FROM audit_log"),
    "backdate an audit event": (
        DENIED,
        (
            "INSERT INTO audit_log (id, merchant_id, event, actor, at)"
            " SELECT uuidv7(), id, 'x', 'operator', '2020-01-01' FROM merchants"
        ),
    ),
    "take over a key": (DENIED, "UPDATE api_keys SET merchant_id = uuidv7()"),
    "replace the secret of a key": (DENIED, "UPDATE api_keys SET hash = sha256('x')"),
    "widen the scopes of a key": (DENIED, "UPDATE api_keys SET scopes = '{payments:write}'"),
    "revive a key": (GUARDED, "UPDATE api_keys SET revoked_at = NULL"),
    "delete keys": (DENIED, "DELETE FROM api_keys"),
    "take over a login": (DENIED, "UPDATE credentials SET merchant_id = uuidv7()"),
    "take over a session": (DENIED, "UPDATE sessions SET hash = sha256('x')"),
    "pretend a migration": (DENIED, "UPDATE _yoyo_migration SET migration_id = 'x'"),
    "reuse worker ids": (DENIED, "SELECT setval('claimants', 1)"),
    # Guards.
    "switch triggers off": (DENIED, "ALTER TABLE entries DISABLE TRIGGER ALL"),
    "switch triggers off for the session": (DENIED, "SET session_replication_role = replica"),
    "the same by a function": (
        DENIED,
        "SELECT set_config('session_replication_role', 'replica', false)",
    ),
    "the same for later sessions": (
        DENIED,
        "ALTER ROLE CURRENT_USER SET session_replication_role = replica",
    ),
    "the same for the server": (DENIED, "ALTER SYSTEM SET session_replication_role = replica"),
    "drop a trigger": (DENIED, "DROP TRIGGER entries_are_append_only ON entries"),
    "replace a guard": (
        DENIED,
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$"
        ),
    ),
    "drop a guard": (DENIED, "DROP FUNCTION refuse_change CASCADE"),
    "run a guard as its caller": (DENIED, "ALTER FUNCTION refunds_are_summed() SECURITY INVOKER"),
    "drop a constraint": (
        DENIED,
        "ALTER TABLE accounts DROP CONSTRAINT accounts_balance_in_bounds",
    ),
    "drop the books": (DENIED, "DROP TABLE entries CASCADE"),
    "drop the schema": (DENIED, "DROP SCHEMA public CASCADE"),
    "put a rule on entries": (DENIED, "CREATE RULE x AS ON INSERT TO entries DO INSTEAD NOTHING"),
    "put a trigger on entries": (
        DENIED,
        (
            "CREATE TRIGGER x BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION"
            " suppress_redundant_updates_trigger()"
        ),
    ),
    "hide rows by a policy": (DENIED, "ALTER TABLE entries ENABLE ROW LEVEL SECURITY"),
    "shadow a table": (DENIED, "CREATE TEMPORARY TABLE entries (id integer)"),
    "use a trigger of Atomic on a table of its own": (
        DENIED,
        (
            "CREATE TABLE x (id integer);"
            " CREATE TRIGGER x AFTER INSERT ON x REFERENCING NEW TABLE AS new_payments"
            " FOR EACH STATEMENT EXECUTE FUNCTION payments_are_checked_and_listed()"
        ),
    ),
    "call a function with the owner's rights": (DENIED, "SELECT payments_are_checked_and_listed()"),
    "create a function": (
        DENIED,
        "CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql RETURN 'epoch'::timestamptz",
    ),
    "create a schema": (DENIED, "CREATE SCHEMA x"),
    "create an extension": (DENIED, "CREATE EXTENSION pg_trgm"),
    # Roles.
    "become the owner": (DENIED, f"SET ROLE {OWNER_ROLE}"),
    "become the superuser": (DENIED, "SET SESSION AUTHORIZATION postgres"),
    "become a superuser": (DENIED, "ALTER ROLE CURRENT_USER SUPERUSER"),
    "create a role": (DENIED, "CREATE ROLE x SUPERUSER LOGIN"),
    "join the owner": (DENIED, f"GRANT {OWNER_ROLE} TO CURRENT_USER"),
    "join a powerful role": (DENIED, "GRANT pg_write_all_data TO CURRENT_USER"),
    # GRANT of what the role cannot give is a warning; the statement after it is refused.
    "grant itself": (
        DENIED,
        "GRANT ALL ON entries TO CURRENT_USER; UPDATE entries SET amount = 1",
    ),
    "take over the objects": (DENIED, f"REASSIGN OWNED BY {OWNER_ROLE} TO CURRENT_USER"),
    "change the owner": (DENIED, "ALTER TABLE entries OWNER TO CURRENT_USER"),
    "grant what comes later": (
        DENIED,
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER_ROLE} GRANT ALL ON TABLES TO PUBLIC",
    ),
    # The host.
    "run a program": (DENIED, "COPY entries TO PROGRAM 'true'"),
    "run a program for input": (DENIED, "COPY entries FROM PROGRAM 'true'"),
    "write a file": (DENIED, "COPY entries TO '/tmp/atomic-entries'"),
    "read a file": (DENIED, "SELECT pg_read_file('postgresql.conf')"),
    "list a folder": (DENIED, "SELECT pg_ls_dir('.')"),
    "export a large object": (DENIED, "SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/atomic')"),
    "import a large object": (DENIED, "SELECT lo_import('/etc/hostname')"),
    "read the configuration": (DENIED, "SELECT pg_hba_file_rules()"),
    "switch the log": (DENIED, "SELECT pg_switch_wal()"),
    "subscribe to another server": (
        DENIED,
        "CREATE SUBSCRIPTION x CONNECTION 'dbname=x' PUBLICATION x WITH (connect = false)",
    ),
}


READONLY_ATTACKS = {
    "insert": "INSERT INTO merchants (id, name) VALUES (uuidv7(), 'x')",
    "update": "UPDATE payments SET status = 'FAILED'",
    "delete": "DELETE FROM sessions",
    "number": "SELECT nextval('claimants')",
    "key hashes": "SELECT hash FROM api_keys",
    "password hashes": "SELECT password_hash FROM credentials",
    "session hashes": "SELECT * FROM sessions",
    "stored responses": "SELECT response_body FROM idempotency_keys",
    "temporary table": "CREATE TEMPORARY TABLE x (id integer)",
}
