"""What reconciliation reads of the ledger, and its reports, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from atomic_adapters.postgres.database_session import DatabaseSession
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.postgres.time_ordered_ids import get_lowest_id
from atomic_core.domain.reconciliation import (
    BookedPayment,
    Difference,
    DifferenceKind,
    Posting,
    ReconciliationReport,
)

CLOCK_DIFFERENCE: Final = timedelta(hours=1)
"""Between the clocks of PostgreSQL and of the processes that make ids; more than that makes their
ids useless as an order."""

_SQL: Final = load_statements("reconciliation")


@dataclass(frozen=True, slots=True)
class PostgresReconciliationRepository:
    session: DatabaseSession

    def list_postings(self, payment_ids: Sequence[UUID]) -> Sequence[Posting]:
        return self.session.fetch_all_as(
            Posting, _SQL["list_postings"], payment_ids=list(payment_ids)
        )

    def list_posted(
        self, network: str, begin: datetime, end: datetime, after: UUID | None, limit: int
    ) -> Sequence[Posting]:
        return self.session.fetch_all_as(
            Posting,
            _SQL["list_posted"],
            network=network,
            begin_at=begin,
            end_at=end,
            after_id=after or get_lowest_id(begin - CLOCK_DIFFERENCE),
            end_id=get_lowest_id(end + CLOCK_DIFFERENCE),
            limit=limit,
        )

    def list_payments(self, payment_ids: Sequence[UUID]) -> Sequence[BookedPayment]:
        return self.session.fetch_all_as(
            BookedPayment, _SQL["list_booked_payments"], payment_ids=list(payment_ids)
        )

    def add(self, report: ReconciliationReport) -> bool:
        row = self.session.fetch_optional(
            _SQL["insert_reconciliation"],
            id=report.id,
            network=report.network,
            begin_at=report.begin,
            end_at=report.end,
            is_scheduled=report.is_scheduled,
            at=report.created_at,
            is_clean=report.is_clean,
            report=Jsonb(_to_document(report)),
        )
        return row is not None

    def get(self, report_id: UUID) -> ReconciliationReport | None:
        row = self.session.fetch_optional(_SQL["get_reconciliation"], id=report_id)
        return _build_report(row) if row else None

    def list(self, limit: int) -> Sequence[ReconciliationReport]:
        rows = self.session.fetch_all(_SQL["list_reconciliations"], limit=limit)
        return [_build_report(row) for row in rows]

    def get_last_scheduled(self, network: str) -> ReconciliationReport | None:
        row = self.session.fetch_optional(
            _SQL["get_last_scheduled_reconciliation"], network=network
        )
        return _build_report(row) if row else None


def _to_document(report: ReconciliationReport) -> Mapping[str, object]:
    return {
        "lines": report.lines,
        "matched": report.matched,
        "other": dict(report.other),
        "fees": dict(report.fees),
        "differenceCount": report.difference_count,
        "inDoubtCount": report.in_doubt_count,
        "unchecked": report.unchecked,
        "differences": [
            {
                "kind": difference.kind.value,
                "currency": difference.currency,
                "there": difference.there,
                "here": difference.here,
                "reference": difference.reference,
                "lineId": difference.line_id,
                "paymentId": _to_text(difference.payment_id),
                "merchantId": _to_text(difference.merchant_id),
                "status": difference.status,
                "openIds": [str(id) for id in difference.open_ids],
            }
            for difference in report.differences
        ],
    }


def _build_report(row: Sequence[Any]) -> ReconciliationReport:
    id, network, begin, end, is_scheduled, created_at, document = row
    return ReconciliationReport(
        id,
        network,
        begin,
        end,
        is_scheduled,
        created_at,
        document["lines"],
        document["matched"],
        document["other"],
        document["fees"],
        document["differenceCount"],
        document["inDoubtCount"],
        document["unchecked"],
        tuple(_build_difference(difference) for difference in document["differences"]),
    )


def _build_difference(document: Mapping[str, Any]) -> Difference:
    return Difference(
        DifferenceKind(document["kind"]),
        document["currency"],
        document["there"],
        document["here"],
        document["reference"],
        document["lineId"],
        _to_id(document["paymentId"]),
        _to_id(document["merchantId"]),
        document["status"],
        tuple(UUID(id) for id in document["openIds"]),
    )


def _to_text(id: UUID | None) -> str | None:
    return str(id) if id else None


def _to_id(text: str | None) -> UUID | None:
    return UUID(text) if text else None
