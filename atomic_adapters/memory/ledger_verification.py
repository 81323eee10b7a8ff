"""The rules of the books, applied to the tables in memory."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from atomic_adapters.memory.tables import Tables
from atomic_core.domain.accounts import Account, chain_start, fee_account_id, world_account_id
from atomic_core.domain.ledger import Entry, Hold, Kind, entry_hash
from atomic_core.domain.ledger_verification import MAX_FINDINGS, Check, Finding, LedgerReport
from atomic_core.domain.payments import Status, Step
from atomic_core.domain.refunds import Refund

Chains = dict[UUID, list[Entry]]


def verify_ledger(tables: Tables) -> LedgerReport:
    chains: Chains = defaultdict(list)
    for _, entry in sorted(tables.entries.rows.items()):
        chains[entry.account_id].append(entry)
    checks = (
        _currencies(tables),
        _transactions(tables),
        _balances(tables, chains),
        _tips(tables, chains),
        _chains(tables, chains),
        _payments(tables),
        _refunds(tables),
        _known(tables),
        _accounts_fit(tables),
        _refunds_summed(tables),
        _holds(tables),
        _pending(tables),
    )
    return LedgerReport(
        accounts=len(tables.accounts.rows),
        transactions=len(tables.transactions.rows),
        entries=len(tables.entries.rows),
        payments=len(tables.payments.rows),
        refunds=len(tables.refunds.rows),
        holds=sum(row.live for row in tables.holds.rows.values()),
        findings=[finding for check in checks for finding in islice(check, MAX_FINDINGS)],
    )


def _currencies(tables: Tables) -> Iterator[Finding]:
    sums = Counter[str]()
    for entry in tables.entries.rows.values():
        sums[tables.accounts.rows[entry.account_id].currency] += entry.amount
    for currency, total in sorted(sums.items()):
        if total:
            yield Finding(Check.CURRENCY_BALANCED, currency, f"entries sum to {total}")


def _transactions(tables: Tables) -> Iterator[Finding]:
    legs: dict[UUID, list[Entry]] = {id: [] for id in tables.transactions.rows}
    for entry in tables.entries.rows.values():
        legs.setdefault(entry.transaction_id, []).append(entry)
    for id, entries in sorted(legs.items()):
        currencies = {tables.accounts.rows[entry.account_id].currency for entry in entries}
        total = sum(entry.amount for entry in entries)
        if total or len(entries) < 2 or len(currencies) != 1:
            problem = f"{len(entries)} entries in {len(currencies)} currencies sum to {total}"
            yield Finding(Check.TRANSACTION_BALANCED, str(id), problem)


def _balances(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account in _accounts(tables):
        total = sum(entry.amount for entry in chains.get(account.id, []))
        low, high = account.bounds
        if account.balance != total or not low <= account.balance <= high:
            problem = f"balance is {account.balance}, entries sum to {total}"
            yield Finding(Check.BALANCE_IS_SUM, str(account.id), problem)


def _tips(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account in _accounts(tables):
        last = chains[account.id][-1] if account.id in chains else None
        tip = (last.sequence, last.balance_after, last.hash) if last else (0, 0, _start(account))
        if tip != (account.sequence, account.balance, account.head):
            problem = f"account is at {account.sequence}, its last entry at {tip[0]}"
            yield Finding(Check.TIP_IS_LAST_ENTRY, str(account.id), problem)


def _chains(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account_id, entries in sorted(chains.items()):
        sequence, balance, head = 0, 0, _start(tables.accounts.rows[account_id])
        for entry in entries:
            transaction = tables.transactions.rows.get(entry.transaction_id)
            expected = entry_hash(head, entry, transaction) if transaction else None
            follows = (sequence + 1, balance + entry.amount, expected)
            if follows != (entry.sequence, entry.balance_after, entry.hash):
                subject = f"{account_id}#{entry.sequence}"
                yield Finding(Check.CHAIN_UNBROKEN, subject, "does not follow the one before")
            sequence, balance, head = entry.sequence, entry.balance_after, entry.hash


def _start(account: Account) -> bytes:
    return chain_start(
        account.id,
        account.merchant_id,
        account.currency,
        allow_negative=account.allow_negative,
    )


def _payments(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.payments.rows.items()):
        payment = row.payment
        captured, world = payment.amount_captured, world_account_id(payment.money.currency)
        legs = {
            (world, -captured),
            (payment.account_id, captured - payment.fee),
            (fee_account_id(payment.money.currency), payment.fee),
        }
        succeeded = payment.status is Status.SUCCESS
        transaction_id = tables.posted.rows.get((id, Kind.PAYMENT, None))
        if problem := _problem(tables, payment.status, transaction_id, succeeded, legs):
            yield Finding(Check.PAYMENT_POSTED, str(id), problem)


def _refunds(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.refunds.rows.items()):
        refund = row.refund
        amount, world = refund.money.amount, world_account_id(refund.money.currency)
        legs = {(refund.account_id, -amount), (world, amount)}
        succeeded = refund.status is Status.SUCCESS
        transaction_id = tables.posted.rows.get((refund.payment_id, Kind.REFUND, id))
        if problem := _problem(tables, refund.status, transaction_id, succeeded, legs):
            yield Finding(Check.REFUND_POSTED, str(id), problem)


def _problem(
    tables: Tables,
    status: Status,
    transaction_id: UUID | None,
    succeeded: bool,  # noqa: FBT001
    legs: set[tuple[UUID, int]],
) -> str | None:
    if succeeded != (transaction_id is not None):
        return f"{status}, yet {'posted' if transaction_id else 'not posted'}"
    entries = tables.entries.rows.values()
    found = [(e.account_id, e.amount) for e in entries if e.transaction_id == transaction_id]
    expected = {leg for leg in legs if leg[1]} if transaction_id else set()
    if sorted(found) != sorted(expected):
        return "posted with another amount or account"
    return None


def _known(tables: Tables) -> Iterator[Finding]:
    for id, transaction in sorted(tables.transactions.rows.items()):
        refund = tables.refunds.rows.get(transaction.refund_id) if transaction.refund_id else None
        is_known = transaction.payment_id in tables.payments.rows
        if transaction.refund_id and (
            refund is None or refund.refund.payment_id != transaction.payment_id
        ):
            is_known = False
        if not is_known:
            problem = "posts a payment or refund that does not exist"
            yield Finding(Check.PAYMENT_KNOWN, str(id), problem)


def _refunds_summed(tables: Tables) -> Iterator[Finding]:
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for row in tables.refunds.rows.values():
        refunds[row.refund.payment_id].append(row.refund)
    for id, row in sorted(tables.payments.rows.items()):
        payment, its = row.payment, refunds.get(id, [])
        paid = sum(r.money.amount for r in its if r.status is Status.SUCCESS)
        reserved = sum(r.money.amount for r in its if r.status is not Status.FAILED)
        owners = {(r.merchant_id, r.account_id, r.money.currency) for r in its}
        own = (payment.merchant_id, payment.account_id, payment.money.currency)
        sums = (payment.amount_refunded, payment.refunds_reserved)
        if sums != (paid, reserved) or reserved > payment.amount_captured or owners - {own}:
            problem = "says {} refunded and {} reserved, its refunds sum to {} and {}"
            yield Finding(Check.REFUNDS_SUMMED, str(id), problem.format(*sums, paid, reserved))


def _holds(tables: Tables) -> Iterator[Finding]:
    live = {key: row.hold for key, row in tables.holds.rows.items() if row.live}
    expected: dict[tuple[UUID, UUID | None], Hold] = {}
    for id, row in tables.payments.rows.items():
        payment = row.payment
        resolving = payment.status is Status.PROCESSING and payment.step not in _BEFORE_HOLD
        if payment.status is Status.AUTHORIZED or resolving:
            world, money = world_account_id(payment.money.currency), payment.money
            expected[id, None] = Hold(id, None, world, payment.account_id, money.amount)
    for id, row in tables.refunds.rows.items():
        refund, key = row.refund, (row.refund.payment_id, id)
        if refund.status is Status.PROCESSING and key in live:
            world, money = world_account_id(refund.money.currency), refund.money
            expected[key] = Hold(*key, refund.account_id, world, money.amount)
    wrong = {key for key in live.keys() | expected.keys() if live.get(key) != expected.get(key)}
    for payment_id, refund_id in sorted(wrong, key=str):
        hold = live.get((payment_id, refund_id))
        problem = f"{hold.amount} is held" if hold else "nothing is held"
        yield Finding(Check.HOLD_FITS, str(refund_id or payment_id), problem)


_BEFORE_HOLD: Final = (Step.CHARGE, Step.AUTHORIZE)


def _pending(tables: Tables) -> Iterator[Finding]:
    coming, going = Counter[UUID](), Counter[UUID]()
    for row in tables.holds.rows.values():
        if row.live:
            coming[row.hold.credit_account_id] += row.hold.amount
            going[row.hold.debit_account_id] += row.hold.amount
    for account in _accounts(tables):
        pending = (account.pending_in, account.pending_out)
        sums = (coming[account.id], going[account.id])
        promised = not account.allow_negative and account.pending_out > account.balance
        if pending != sums or promised:
            problem = "{} coming and {} going, its holds sum to {} and {}"
            yield Finding(Check.PENDING_IS_SUM, str(account.id), problem.format(*pending, *sums))


def _accounts_fit(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.payments.rows.items()):
        payment = row.payment
        account = tables.accounts.rows.get(payment.account_id)
        whose = account and (account.merchant_id, account.currency)
        if whose != (payment.merchant_id, payment.money.currency):
            problem = "its account is not the merchant's, or of another currency"
            yield Finding(Check.PAYMENT_ACCOUNT_FITS, str(id), problem)


def _accounts(tables: Tables) -> list[Account]:
    return [account for _, account in sorted(tables.accounts.rows.items())]
