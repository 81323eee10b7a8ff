"""Reconcile a card network's statement with the ledger."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.errors import Conflict, NotFound, ValidationFailed
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.domain.reconciliation import (
    Difference,
    DifferenceKind,
    Item,
    LineKind,
    Posting,
    ReconciliationReport,
    StatementLine,
    compare_payment,
    report_foreign_line,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.network_statement import NetworkStatement
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.admin_queries import RetryPayment

MAX_PERIOD: Final = timedelta(days=31)
"""Of one run: a month's books."""

MAX_LINES: Final = 2_000_000
"""Of one run. The ids of what has been matched are kept in memory, about 250 bytes each."""

MAX_SUSPECTS: Final = 1_000
"""Payments that one run looks up at the network one by one, after their lines did not match: some
minutes. With more, the run compares two books that do not belong together."""

MAX_DIFFERENCES: Final = 1_000
"""Kept with a report."""

PAGE: Final = 1_000
"""Ledger transactions per query."""

SCHEDULED_DELAY: Final = timedelta(hours=2)
"""After the end of a day (UTC): what was sent to the network before midnight is settled by then."""


@dataclass(slots=True)
class _Findings:
    """Collected while a statement is read."""

    lines: int = 0
    other: Counter[str] = field(default_factory=Counter)
    fees: Counter[str] = field(default_factory=Counter)
    matched: set[Item] = field(default_factory=set)
    """The items whose line has the amount of their ledger transaction."""
    suspects: dict[UUID, str | None] = field(default_factory=dict)
    """Payments to look up, each with a line that does not match."""
    differences: list[Difference] = field(default_factory=list)
    difference_count: int = 0
    in_doubt_count: int = 0
    unchecked: int = 0

    def suspect(self, payment_id: UUID, line_id: str | None) -> None:
        if payment_id in self.suspects:
            return
        if len(self.suspects) >= MAX_SUSPECTS:
            self.unchecked += 1
            return
        self.suspects[payment_id] = line_id

    def add(self, difference: Difference) -> None:
        if difference.kind is DifferenceKind.IN_DOUBT:
            self.in_doubt_count += 1
        else:
            self.difference_count += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(difference)


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Compare a network's statement of a period with the ledger, and keep the report.

    Each line is matched with the ledger transaction of its payment, refund or dispute, at whatever
    time it was posted; each ledger transaction that was posted in the period needs a line. What
    does not match is looked up at the network, so that a line beyond an end of the period is no
    difference. Corrects nothing. Calls the network outside of any transaction, and locks nothing.

    Raises NotFound for a network without a statement; ValidationFailed; NetworkUnavailable;
    Conflict for a statement of more than MAX_LINES.
    """

    begin_work: UnitOfWorkFactory
    ids: IdGenerator
    statements: Mapping[str, NetworkStatement]

    def __call__(
        self, network: str, begin: datetime, end: datetime, *, is_scheduled: bool = False
    ) -> ReconciliationReport:
        statement = self._get_statement(network)
        with self.begin_work() as work:
            now = work.now()
        if not begin < end <= now or end - begin > MAX_PERIOD:
            raise ValidationFailed(
                details={
                    "to": [f"Must be after `from`, by {MAX_PERIOD.days} days at most, and past."]
                }
            )
        findings = _Findings()
        for page in statement.read(begin, end):
            self._match(page, findings)
        for posting in self._list_posted(network, begin, end):
            if posting.get_item() not in findings.matched:
                findings.suspect(posting.payment_id, None)
        self._look_up_suspects(network, statement, findings)
        report = ReconciliationReport(
            self.ids.new_id(),
            network,
            begin,
            end,
            is_scheduled,
            now,
            findings.lines,
            len(findings.matched),
            dict(findings.other),
            dict(findings.fees),
            findings.difference_count,
            findings.in_doubt_count,
            findings.unchecked,
            tuple(findings.differences),
        )
        with self.begin_work() as work:
            work.reconciliation.add(report)
            work.commit()
        return report

    def _get_statement(self, network: str) -> NetworkStatement:
        if network not in self.statements:
            raise NotFound("No card network of this deployment has this name and a statement.")
        return self.statements[network]

    def _match(self, lines: Sequence[StatementLine], findings: _Findings) -> None:
        findings.lines += len(lines)
        if findings.lines > MAX_LINES:
            raise Conflict(f"The statement has more than {MAX_LINES} lines: name a shorter period.")
        for line in lines:
            if line.fee:
                findings.fees[line.fee_currency] += line.fee
            if line.kind is LineKind.OTHER:
                findings.other[line.type] += 1
        posted = [line for line in lines if line.kind is not LineKind.OTHER]
        payment_ids = sorted({line.payment_id for line in posted if line.payment_id})
        with self.begin_work() as work:
            known = {
                payment.payment_id for payment in work.reconciliation.list_payments(payment_ids)
            }
            postings = _index(work.reconciliation.list_postings(payment_ids))
        for line in posted:
            item = line.get_item()
            if item is None or line.payment_id is None or line.payment_id not in known:
                findings.add(report_foreign_line(line))
                continue
            posting = postings.get(item)
            is_repeated = item in findings.matched
            if posting and _is_same(line, posting) and not is_repeated:
                findings.matched.add(item)
            else:
                findings.suspect(line.payment_id, line.id)

    def _list_posted(self, network: str, begin: datetime, end: datetime) -> Iterator[Posting]:
        after: UUID | None = None
        while True:
            with self.begin_work() as work:
                page = work.reconciliation.list_posted(network, begin, end, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].transaction_id

    def _look_up_suspects(
        self, network: str, statement: NetworkStatement, findings: _Findings
    ) -> None:
        ids = sorted(findings.suspects)
        for start in range(0, len(ids), PAGE):
            with self.begin_work() as work:
                payments = work.reconciliation.list_payments(ids[start : start + PAGE])
            for payment in payments:
                # One that another network settles has nothing here to compare with.
                there = statement.measure(payment) if payment.network == network else None
                difference = compare_payment(payment, there, findings.suspects[payment.payment_id])
                if difference:
                    findings.add(difference)


@dataclass(frozen=True, slots=True)
class ReconcileYesterday:
    """Reconcile the last whole day (UTC) of each network that has a statement, unless a scheduled
    report of it is kept. Returns the new reports. Several processes may do so at once; one report
    is kept. Raises NetworkUnavailable."""

    reconcile: Reconcile

    def __call__(self) -> Sequence[ReconciliationReport]:
        return [report for network in self.reconcile.statements if (report := self._run(network))]

    def _run(self, network: str) -> ReconciliationReport | None:
        with self.reconcile.begin_work() as work:
            now = work.now()
            last = work.reconciliation.get_last_scheduled(network)
        end = (now - SCHEDULED_DELAY).replace(hour=0, minute=0, second=0, microsecond=0)
        if last and last.end >= end:
            return None
        return self.reconcile(network, end - timedelta(days=1), end, is_scheduled=True)


@dataclass(frozen=True, slots=True)
class ResolveInDoubt:
    """Make what a report has found in doubt due at once: the network is then queried, and its
    answer ends the step. Audited, as a retry by an operator. Returns the ids of payments and
    refunds; those that have been settled meanwhile are left out."""

    retry: RetryPayment

    def __call__(self, report: ReconciliationReport, origin: Origin = OPERATOR) -> Sequence[UUID]:
        retried: list[UUID] = []
        for difference in report.differences:
            for id in difference.open_ids:
                try:
                    self.retry(id, origin)
                except Conflict:
                    continue
                retried.append(id)
        return retried


@dataclass(frozen=True, slots=True)
class ListReports:
    """Kept reports, newest first."""

    begin: UnitOfWorkFactory

    def __call__(self, limit: int) -> Sequence[ReconciliationReport]:
        with self.begin() as work:
            return work.reconciliation.list(limit)


@dataclass(frozen=True, slots=True)
class GetReport:
    """Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, report_id: UUID) -> ReconciliationReport:
        with self.begin() as work:
            report = work.reconciliation.get(report_id)
        if report is None:
            raise NotFound("No reconciliation has this id.")
        return report


@dataclass(frozen=True, slots=True)
class GetLastScheduled:
    """The scheduled report of the latest period of each network that has one."""

    begin: UnitOfWorkFactory
    networks: Sequence[str]

    def __call__(self) -> Sequence[ReconciliationReport]:
        with self.begin() as work:
            reports = [work.reconciliation.get_last_scheduled(name) for name in self.networks]
        return [report for report in reports if report]


def _index(postings: Sequence[Posting]) -> Mapping[Item, Posting]:
    return {posting.get_item(): posting for posting in postings}


def _is_same(line: StatementLine, posting: Posting) -> bool:
    return (line.amount, line.currency) == (posting.amount, posting.currency)
