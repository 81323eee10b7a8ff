"""Log lines of scheduled reconciliations."""

from typing import Final

import structlog

from atomic_core.domain.reconciliation import DifferenceKind, ReconciliationReport
from atomic_core.domain.timestamps import format_rfc3339

MAX_LOGGED: Final = 20
"""Differences per report: enough to begin with; `atomic reconcile show` lists more."""

_log = structlog.get_logger(__name__)


def log_reconciliation(report: ReconciliationReport) -> None:
    found = [
        difference
        for difference in report.differences
        if difference.kind is not DifferenceKind.IN_DOUBT
    ]
    for difference in found[:MAX_LOGGED]:
        _log.error(
            "reconciliation difference",
            network=report.network,
            difference=difference.kind.value,
            payment=str(difference.payment_id) if difference.payment_id else None,
            reference=difference.reference,
            there=difference.there,
            here=difference.here,
            currency=difference.currency,
        )
    log = _log.info if report.is_clean else _log.error
    log(
        "reconciled",
        network=report.network,
        report=str(report.id),
        begin=format_rfc3339(report.begin),
        end=format_rfc3339(report.end),
        lines=report.lines,
        matched=report.matched,
        differences=report.difference_count,
        in_doubt=report.in_doubt_count,
        unchecked=report.unchecked,
    )
