"""Totals of payments in memory."""

from collections.abc import Iterator

from atomic_adapters.memory.tables import Tables, TotalKey, get_total_key
from atomic_core.domain.dashboard import PaymentSum, build_sum
from atomic_core.domain.ledger_verification import Finding, LedgerCheck


def check_totals(tables: Tables) -> Iterator[Finding]:
    sums: dict[TotalKey, PaymentSum] = {}
    for row in tables.payments.rows.values():
        if not row.item.status.is_open:
            key = get_total_key(row.item)
            sums[key] = sums.get(key, _zero(key)).plus(build_sum(row.item))
    for key in sorted(sums.keys() | tables.payment_totals.rows.keys()):
        total = tables.payment_totals.rows.get(key, _zero(key))
        expected = sums.get(key, _zero(key))
        if total != expected:
            problem = f"the total is {total}, its payments sum to {expected}"
            yield Finding(LedgerCheck.TOTAL_IS_SUM, "/".join(map(str, key)), problem)


def _zero(key: TotalKey) -> PaymentSum:
    _, _, currency, status = key
    return PaymentSum(status, currency, 0, 0, 0, 0)
