"""The ledger's rules, checked by PostgreSQL on one snapshot."""

from typing import Final

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.ledger_verification import MAX_FINDINGS, Finding, LedgerCheck, LedgerReport

STATEMENT_SECONDS: Final = 3_600
"""One hour: reading all entries may take long, and holds no lock that others wait for."""

_SQL: Final = load_statements("ledger_verification")


def verify_ledger(session: DatabaseSession) -> LedgerReport:
    """Must be the first call in its transaction, which becomes a READ ONLY snapshot."""
    session.use_one_snapshot()
    session.execute(_SQL["raise_statement_timeout"], seconds=f"{STATEMENT_SECONDS}s")
    with session.allow_long_statements(STATEMENT_SECONDS):
        return _build_report(session)


def _build_report(session: DatabaseSession) -> LedgerReport:
    accounts, transactions, entries, payments, refunds, holds = session.fetch_one(
        _SQL["count_rows"]
    )
    return LedgerReport(
        accounts=accounts,
        transactions=transactions,
        entries=entries,
        payments=payments,
        refunds=refunds,
        holds=holds,
        findings=[
            Finding(check, subject, problem)
            for check in LedgerCheck
            for subject, problem in session.fetch_all(_SQL[check.value], limit=MAX_FINDINGS)
        ],
    )
