"""The rules of the books, applied to the tables in memory."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from atomic_adapters.memory.table import PaymentRow, Tables
from atomic_core.domain.audit import MAX_FINDINGS, Check, Finding, LedgerReport
from atomic_core.domain.ledger import (
    Account,
    Entry,
    Kind,
    chain_start,
    entry_hash,
    world_account_id,
)
from atomic_core.domain.payments import Status

Chains = dict[UUID, list[Entry]]


def check_books(tables: Tables) -> LedgerReport:
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
        _known(tables),
        _accounts_fit(tables),
    )
    return LedgerReport(
        accounts=len(tables.accounts.rows),
        transactions=len(tables.transactions.rows),
        entries=len(tables.entries.rows),
        payments=len(tables.payments.rows),
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
        transaction_id = tables.posted.rows.get((id, Kind.PAYMENT))
        succeeded = row.payment.status is Status.SUCCESS
        if succeeded != (transaction_id is not None):
            posted = "posted" if transaction_id else "not posted"
            yield Finding(Check.PAYMENT_POSTED, str(id), f"{row.payment.status}, yet {posted}")
        elif transaction_id and not _legs_fit(tables, row, transaction_id):
            yield Finding(Check.PAYMENT_POSTED, str(id), _WRONG_LEGS)


_WRONG_LEGS: Final = "posted with another amount or account"


def _legs_fit(tables: Tables, row: PaymentRow, transaction_id: UUID) -> bool:
    money = row.payment.money
    expected = {
        (world_account_id(money.currency), -money.amount),
        (row.payment.account_id, money.amount),
    }
    entries = tables.entries.rows.values()
    legs = {(e.account_id, e.amount) for e in entries if e.transaction_id == transaction_id}
    return legs == expected


def _known(tables: Tables) -> Iterator[Finding]:
    for id, transaction in sorted(tables.transactions.rows.items()):
        if transaction.payment_id not in tables.payments.rows:
            problem = "posts a payment that does not exist"
            yield Finding(Check.PAYMENT_KNOWN, str(id), problem)


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
