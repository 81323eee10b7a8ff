"""Mutants of the terms and statuses of accounts."""

from typing import Final

from mutants.mutant import Edit, Mutant

POSTING_PY: Final = "atomic_core/domain/posting.py"
JOURNAL_POSTING_PY: Final = "atomic_core/domain/journal_posting.py"
NAMES_PY: Final = "atomic_core/domain/account_names.py"
ACCOUNTS_PY: Final = "atomic_core/use_cases/accounts.py"
PAYMENTS_SQL: Final = "atomic_adapters/postgres/payments.sql"
VERIFICATION_SQL: Final = "atomic_adapters/postgres/ledger_verification.sql"
MIGRATION: Final = "migrations/0040.accounts.sql"

TERMS_TEST: Final = "tests/contract/test_account_terms.py"
STATUSES_TEST: Final = "tests/contract/test_account_statuses.py"
GUARDS_TEST: Final = "tests/integration/test_account_guards.py"

ACCOUNT_MUTANTS: Final = (
    Mutant(
        "frozen-account-takes-transactions",
        "a ledger transaction of an account that is frozen or closed is refused",
        (Edit(JOURNAL_POSTING_PY, "if state.status_refusal:", "if False:"),),
        (STATUSES_TEST,),
    ),
    Mutant(
        "frozen-account-takes-charges",
        "a charge of an account that was frozen meanwhile is reversed",
        (Edit(POSTING_PY, "if state.status_refusal and not", "if False and not"),),
        (STATUSES_TEST,),
    ),
    Mutant(
        "frozen-account-refuses-disputes",
        "a dispute is posted to an account that is frozen or closed",
        (Edit(POSTING_PY, "not (released_hold or kind in _DISPUTE_KINDS)", "not released_hold"),),
        (STATUSES_TEST,),
    ),
    Mutant(
        "won-dispute-respects-the-maximum",
        "what a won dispute returns is posted above the maximum of its account",
        (
            Edit(
                POSTING_PY,
                "if kind is TransactionKind.DISPUTE_REVERSAL:\n        _,",
                "if False:\n        _,",
            ),
        ),
        (STATUSES_TEST,),
    ),
    Mutant(
        "account-closed-with-a-balance",
        "only an empty account is closed",
        (Edit(ACCOUNTS_PY, "            check_empty(account)\n", "            pass\n"),),
        (STATUSES_TEST,),
    ),
    Mutant(
        "prefix-within-a-segment",
        "a prefix matches whole segments of a name",
        (Edit(NAMES_PY, "NameRange(prefix, root + SEPARATOR,", "NameRange(prefix, root,"),),
        (TERMS_TEST,),
    ),
    Mutant(
        "payment-onto-a-frozen-account",
        "a payment whose account is frozen is refused at its acceptance",
        (Edit(PAYMENTS_SQL, "AS payee ON payee.is_open", "AS payee ON true"),),
        (STATUSES_TEST,),
    ),
    Mutant(
        "verify-takes-a-merchants-asset-for-world",
        "a payment is debited from World, and from no asset of a merchant",
        (
            Edit(
                VERIFICATION_SQL,
                "a.merchant_id IS NULL AND a.type = 'asset'\n"
                "                                               AND a.currency = p.currency",
                "a.type = 'asset'\n"
                "                                               AND a.currency = p.currency",
            ),
        ),
        (STATUSES_TEST,),
    ),
    Mutant(
        "no-guard-of-closing",
        "PostgreSQL refuses to close an account that is not empty",
        (
            Edit(
                MIGRATION,
                "(a.balance, a.pending_in, a.pending_out) = (0, 0, 0)\n          FROM",
                "true\n          FROM",
            ),
        ),
        (GUARDS_TEST,),
    ),
    Mutant(
        "no-guard-of-frozen-accounts",
        "PostgreSQL refuses entries of an account that is frozen or closed",
        (Edit(MIGRATION, "    IF NOT are_open THEN", "    IF false THEN"),),
        (GUARDS_TEST,),
    ),
    Mutant(
        "no-guard-of-the-maximum",
        "PostgreSQL refuses to post above the maximum of an account",
        (
            Edit(
                MIGRATION,
                "WHEN (NEW.balance + NEW.pending_in > NEW.max_balance",
                "WHEN (false",
            ),
        ),
        (GUARDS_TEST,),
    ),
)
