"""The rules of the books, applied by PostgreSQL to one snapshot."""

from typing import Final

from atomic_adapters.postgres.session import Session
from atomic_adapters.postgres.statements import statements
from atomic_core.domain.ledger_verification import MAX_FINDINGS, Check, Finding, LedgerReport

_SQL: Final = statements("ledger_verification")


def check_books(session: Session) -> LedgerReport:
    """Must be the first thing in its transaction, which becomes one READ ONLY snapshot."""
    session.execute(_SQL["one_snapshot"])
    session.execute(_SQL["patience"])
    accounts, transactions, entries, payments, refunds, holds = session.one(_SQL["counts"])
    return LedgerReport(
        accounts=accounts,
        transactions=transactions,
        entries=entries,
        payments=payments,
        refunds=refunds,
        holds=holds,
        findings=[
            Finding(check, subject, problem)
            for check in Check
            for subject, problem in session.rows(_SQL[check.value], most=MAX_FINDINGS)
        ],
    )
