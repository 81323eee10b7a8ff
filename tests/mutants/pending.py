"""Mutants of pending journal transactions: reservation, parts, ends, guards, verification."""

from typing import Final

from mutants.mutant import Edit, Mutant

PENDING_SQL: Final = "migrations/0030.pending-transactions.sql"
DISPUTES_SQL: Final = "migrations/0039.disputes.sql"
"""Replaces a guard of migration 0030."""
JOURNAL_SQL: Final = "atomic_adapters/postgres/journal.sql"
POSTING_PY: Final = "atomic_core/domain/journal_posting.py"
PARTS_PY: Final = "atomic_core/domain/pending_posting.py"
USE_CASES_PY: Final = "atomic_core/use_cases/pending_transactions.py"
VERIFICATION_SQL: Final = "atomic_adapters/postgres/ledger_verification.sql"

CONTRACT_TEST: Final = "tests/contract/test_pending_transactions.py"
GUARDS_TEST: Final = "tests/integration/test_pending_guards.py"
RACES_TEST: Final = "tests/integration/test_journal_races.py"
UNIT_TEST: Final = "tests/unit/test_journal_posting.py"
VERIFICATION_TEST: Final = "tests/contract/test_journal_verification.py"

PENDING_MUTANTS: Final = (
    Mutant(
        "pending-batch-reserves-nothing",
        "the transactions of a batch see what the previous ones reserve",
        (Edit(POSTING_PY, "            _reserve(moves)\n", ""),),
        (UNIT_TEST,),
    ),
    Mutant(
        "pending-cannot-spend-its-own-reservation",
        "a pending transaction can post all that it reserves",
        (Edit(POSTING_PY, "        _release(released)\n", ""),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "pending-posts-more-than-reserved",
        "an entry posts at most what its transaction reserves",
        (Edit(PARTS_PY, "elif abs(amount) > abs(entry.amount):", "elif False:"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "pending-reversal-negates-the-request",
        "a reversal negates what was posted, not what was reserved",
        (
            Edit(
                "atomic_core/domain/journal.py",
                "Leg(entry.account_id, -entry.posted_amount) for",
                "Leg(entry.account_id, -entry.amount) for",
            ),
        ),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "pending-ends-twice",
        "a transaction that has ended is neither posted nor voided",
        (Edit(USE_CASES_PY, "if transaction.status is not JournalStatus.PENDING:", "if False:"),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "pending-ends-without-lock",
        "a post or void locks the transaction before it reads the status",
        (
            Edit(
                JOURNAL_SQL,
                "   AND merchant_id = %(merchant_id)s\n   FOR NO KEY UPDATE\n",
                "   AND merchant_id = %(merchant_id)s\n",
            ),
        ),
        (RACES_TEST,),
    ),
    Mutant(
        "pending-expires-early",
        "a pending transaction never expires early",
        (Edit(JOURNAL_SQL, "   AND expires_at <= now()\n", ""),),
        (CONTRACT_TEST,),
    ),
    Mutant(
        "pending-never-expires",
        "a pending transaction that is neither posted nor voided expires",
        (
            Edit(
                "atomic_worker/settlement/sweeper.py",
                "expired_transactions = self.application.journal.expire()\n",
                "expired_transactions = 0\n",
            ),
        ),
        ("tests/unit/test_sweeper.py",),
    ),
    Mutant(
        "pending-guard-ignores-holds",
        "the database refuses a pending transaction whose holds are not its entries",
        (
            Edit(
                PENDING_SQL,
                "                                        AND h.amount = requested.amount\n",
                "",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "pending-guard-ignores-the-status-of-holds",
        "the database refuses live holds of a transaction that has ended",
        (
            Edit(
                PENDING_SQL,
                "                                        AND (h.released_at IS NULL)"
                " = (j.status = 'PENDING')\n",
                "",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "pending-guard-allows-any-amount",
        "the database refuses a posting of more than was reserved",
        (
            Edit(
                PENDING_SQL,
                "AND abs(e.amount) <= abs(requested.amount)\n",
                "AND true\n",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "pending-posted-without-status",
        "the database refuses the posting of a transaction that is not POSTED",
        (
            Edit(
                DISPUTES_SQL,
                "(SELECT j.status = 'POSTED' FROM journal_transactions j",
                "(SELECT true FROM journal_transactions j",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "pending-guard-allows-an-early-end",
        "the database refuses the expiry of a transaction before its time",
        (
            Edit(
                PENDING_SQL,
                "          OR NEW.status = 'EXPIRED' AND OLD.expires_at > now()\n",
                "",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "verify-ignores-journal-holds",
        "atomic verify compares the holds of a pending transaction with its entries",
        (
            Edit(
                VERIFICATION_SQL,
                " WHERE j.amount IS DISTINCT FROM h.amount\n",
                " WHERE false\n",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
    Mutant(
        "verify-sums-no-journal-holds",
        "atomic verify adds the holds of pending transactions to pending amounts",
        (
            Edit(
                VERIFICATION_SQL,
                "                       FROM journal_holds\n"
                "                      WHERE released_at IS NULL",
                "                       FROM journal_holds\n                      WHERE false",
            ),
        ),
        (VERIFICATION_TEST,),
    ),
)
