"""Mutants of journal transactions: posting, reversals, guards, verification."""

from typing import Final

from mutants.mutant import Edit, Mutant

JOURNAL_SQL: Final = "migrations/0027.journal.sql"
PENDING_SQL: Final = "migrations/0030.pending-transactions.sql"
"""Replaces the guard of migration 0027."""
POSTING_PY: Final = "atomic_core/domain/journal_posting.py"
USE_CASES_PY: Final = "atomic_core/use_cases/journal.py"
SETS_PY: Final = "atomic_core/use_cases/journal_sets.py"
MICRO_PY: Final = "atomic_core/use_cases/journal_micro_batches.py"
BATCHES_PY: Final = "atomic_core/use_cases/journal_batches.py"
VERIFICATION_SQL: Final = "atomic_adapters/postgres/ledger_verification.sql"

CONTRACT_TEST: Final = "tests/contract/test_journal.py"
BATCH_TEST: Final = "tests/contract/test_journal_batches.py"
MICRO_TEST: Final = "tests/contract/test_journal_micro_batches.py"
GUARDS_TEST: Final = "tests/integration/test_journal_guards.py"
VERIFICATION_TEST: Final = "tests/contract/test_journal_verification.py"

JOURNAL_MUTANTS: Final = (
    Mutant(
        "rows-counted-before-the-result",
        "the number of affected rows is known within a pipeline",
        (
            Edit(
                "atomic_adapters/postgres/database_session.py",
                "                self._pipelines[-1].sync()\n",
                "                pass\n",
            ),
        ),
        ("tests/integration/test_statement_pipeline.py",),
    ),
    Mutant(
        "journal-posts-in-accounts-of-others",
        "a journal transaction has entries in accounts of its merchant only",
        (
            Edit(
                "atomic_adapters/postgres/ledger.sql",
                " WHERE id = ANY(%(ids)b)\n   AND merchant_id = %(merchant_id)s\n",
                " WHERE id = ANY(%(ids)b)\n   AND %(merchant_id)s::uuid IS NOT NULL\n",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "journal-overdraws",
        "a journal transaction does not spend more than the available balance",
        (Edit(POSTING_PY, "balance_after < state.min_balance\n", "balance_after < 0\n"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "journal-hash-without-effective-time",
        "the hash of an entry of a journal transaction covers its effective time",
        (Edit(POSTING_PY, "encode_kind(kind, None) + encode_time(effective_at)", "b''"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "journal-transaction-not-checked-at-commit",
        "a journal transaction has a posting with its entries",
        (
            Edit(
                PENDING_SQL,
                "     WHERE (SELECT CASE WHEN j.status = 'POSTED' THEN",
                "     WHERE false AND (SELECT CASE WHEN j.status = 'POSTED' THEN",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "journal-guard-ignores-the-owner",
        "the database refuses a journal transaction in an account of another merchant",
        (
            Edit(
                PENDING_SQL,
                "                                    JOIN accounts a ON a.id = e.account_id\n"
                "                                                   AND a.merchant_id",
                "                                    JOIN accounts a ON a.id = e.account_id\n"
                "                                                   AND j.merchant_id",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "journal-guard-ignores-currencies",
        "the entries of each currency of a ledger transaction balance",
        (Edit(JOURNAL_SQL, "IF offender IS NULL AND are_mixed THEN", "IF false THEN"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "journal-reversed-twice",
        "the database refuses a second reversal of a journal transaction",
        (
            Edit(
                JOURNAL_SQL,
                "ON journal_transactions (reverses_id) WHERE",
                "ON journal_transactions (reverses_id, id) WHERE",
            ),
        ),
        ("tests/integration/test_journal_races.py", GUARDS_TEST),
    ),
    Mutant(
        "journal-external-id-used-twice",
        "an external id is used once per merchant, also by concurrent requests",
        (
            Edit(
                JOURNAL_SQL,
                "ON journal_transactions (merchant_id, external_id) WHERE",
                "ON journal_transactions (merchant_id, external_id, id) WHERE",
            ),
        ),
        ("tests/integration/test_journal_races.py",),
    ),
    Mutant(
        "journal-external-id-checked-after-balances",
        "the repetition of a request that succeeded is a conflict, whatever balance it left",
        (Edit(SETS_PY, "errors |= _check_external_ids(work, merchant_id, valid)", "pass"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "journal-batch-keeps-what-precedes-a-refusal",
        "an atomic batch posts all of its transactions or none",
        (Edit(BATCHES_PY, "if not batch.is_atomic or not prepared.errors:", "if True:"),),
        (BATCH_TEST,),
    ),
    Mutant(
        "journal-batch-ignores-a-late-conflict",
        "a transaction of a batch is not posted without its journal transaction",
        (Edit(SETS_PY, "        if not conflicts:\n", "        if True:\n"),),
        (BATCH_TEST,),
    ),
    Mutant(
        "journal-batch-in-other-order",
        "the transactions of a batch are posted in order",
        (
            Edit(
                SETS_PY,
                "for id, new in candidates.items():",
                "for id, new in reversed(candidates.items()):",
            ),
        ),
        (BATCH_TEST,),
    ),
    Mutant(
        "micro-batch-keeps-the-keys-of-refused-transactions",
        "a request that is refused leaves its Idempotency-Key unused",
        (Edit(MICRO_PY, "        if refused:\n", "        if False:\n"),),
        (MICRO_TEST,),
    ),
    Mutant(
        "micro-batch-repeats-an-unknown-commit",
        "a transaction is not posted again if its commit may have succeeded",
        (Edit(MICRO_PY, "if is_committing or not has_begun:", "if not has_begun:"),),
        (MICRO_TEST,),
    ),
    Mutant(
        "micro-batch-posts-a-repeated-key",
        "requests with one Idempotency-Key that arrive together take effect once",
        (
            Edit(
                MICRO_PY,
                "if key in keys or external_id in external_ids:",
                "if external_id in external_ids:",
            ),
        ),
        (MICRO_TEST,),
    ),
    Mutant(
        "exchange-rounds-down",
        "an exchange rounds half to even",
        (Edit("atomic_core/domain/exchanges.py", "return round(amount", "return int(amount"),),
        ("tests/unit/test_exchanges.py",),
    ),
    Mutant(
        "exchange-forgets-the-rate",
        "an exchange keeps its rate as it was sent",
        (
            Edit(
                "atomic_core/use_cases/exchanges.py",
                "{**request.metadata, RATE_KEY: request.rate}",
                "{**request.metadata, RATE_KEY: str(float(rate))}",
            ),
        ),
        ("tests/contract/test_exchanges.py",),
    ),
    Mutant(
        "journal-preview-posts",
        "a preview changes nothing",
        (
            Edit(
                USE_CASES_PY,
                "        return transaction\n\n\n@dataclass(frozen=True, slots=True)\n"
                "class Reversal",
                "            save_transaction(work, transaction, _)\n"
                "            work.commit()\n"
                "        return transaction\n\n\n@dataclass(frozen=True, slots=True)\n"
                "class Reversal",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "verify-ignores-journal-entries",
        "atomic verify compares a journal transaction with its posting",
        (
            Edit(
                VERIFICATION_SQL,
                "                WHERE CASE WHEN j.expires_at IS NULL\n",
                "                WHERE CASE WHEN false\n",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "verify-ignores-currencies",
        "atomic verify adds up the entries of each currency of a transaction",
        (
            Edit(
                VERIFICATION_SQL,
                "         GROUP BY t.id, a.currency) AS by_currency",
                "         GROUP BY t.id, a.currency) AS by_currency\n WHERE false",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
)
