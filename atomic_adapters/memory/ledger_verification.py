"""The ledger's rules, checked on the tables in memory."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from atomic_adapters.memory.balances import check_shifts, check_snapshots
from atomic_adapters.memory.dispute_verification import check_disputes
from atomic_adapters.memory.journal_verification import (
    check_journal,
    check_journal_holds,
    check_reversals,
)
from atomic_adapters.memory.payment_totals import check_totals
from atomic_adapters.memory.periods import check_closing_balances, check_periods
from atomic_adapters.memory.tables import Tables
from atomic_core.domain.accounts import (
    MAX_BALANCE,
    Account,
    AccountStatus,
    fee_account_id,
    hash_account_identity,
    world_account_id,
)
from atomic_core.domain.ledger import (
    Entry,
    Hold,
    LedgerTransaction,
    TransactionKind,
    hash_entry,
)
from atomic_core.domain.ledger_verification import MAX_FINDINGS, Finding, LedgerCheck, LedgerReport
from atomic_core.domain.payments import Status, Step
from atomic_core.domain.refunds import Refund

Chains = dict[UUID, list[Entry]]


def verify_ledger(tables: Tables) -> LedgerReport:
    chains: Chains = defaultdict(list)
    for _, entry in sorted(tables.entries.rows.items()):
        chains[entry.account_id].append(entry)
    checks = (
        _check_currencies(tables),
        _check_transactions(tables),
        _check_balances(tables, chains),
        _check_account_heads(tables, chains),
        _check_chains(tables, chains),
        _check_times(tables, chains),
        _check_payments(tables),
        _check_refunds(tables),
        _check_transactions_known(tables),
        check_journal(tables),
        check_reversals(tables),
        check_disputes(tables),
        _check_payment_accounts(tables),
        _check_refund_sums(tables),
        _check_holds(tables),
        _check_unresolved(tables),
        check_journal_holds(tables),
        _check_pending(tables),
        _check_statuses(tables, chains),
        check_totals(tables),
        check_snapshots(tables),
        check_shifts(tables),
        check_periods(tables),
        check_closing_balances(tables),
    )
    return LedgerReport(
        accounts=len(tables.accounts.rows),
        transactions=len(tables.transactions.rows),
        entries=len(tables.entries.rows),
        payments=len(tables.payments.rows),
        refunds=len(tables.refunds.rows),
        holds=sum(row.is_live for row in tables.holds.rows.values())
        + sum(row.is_live for row in tables.journal_holds.rows.values()),
        findings=[finding for check in checks for finding in islice(check, MAX_FINDINGS)],
    )


def _check_currencies(tables: Tables) -> Iterator[Finding]:
    sums = Counter[str]()
    for entry in tables.entries.rows.values():
        sums[tables.accounts.rows[entry.account_id].currency] += entry.amount
    for currency, total in sorted(sums.items()):
        if total:
            yield Finding(LedgerCheck.CURRENCY_BALANCED, currency, f"entries sum to {total}")


def _check_transactions(tables: Tables) -> Iterator[Finding]:
    legs: dict[UUID, list[Entry]] = {id: [] for id in tables.transactions.rows}
    for entry in tables.entries.rows.values():
        legs.setdefault(entry.transaction_id, []).append(entry)
    for id, entries in sorted(legs.items()):
        totals = Counter[str]()
        for entry in entries:
            totals[tables.accounts.rows[entry.account_id].currency] += entry.amount
        if any(totals.values()) or len(entries) < 2:
            total = totals.total()
            problem = f"{len(entries)} entries in {len(totals)} currencies sum to {total}"
            yield Finding(LedgerCheck.TRANSACTION_BALANCED, str(id), problem)


def _check_balances(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account in _sort_accounts(tables):
        total = sum(entry.amount for entry in chains.get(account.id, []))
        low, high = account.balance_bounds
        has_disputes = _has_disputes(tables, account)
        is_too_low = account.balance < low and not has_disputes
        is_too_high = account.balance > (MAX_BALANCE if has_disputes else high)
        if account.balance != total or is_too_low or is_too_high:
            problem = f"balance is {account.balance}, entries sum to {total}"
            yield Finding(LedgerCheck.BALANCE_IS_SUM, str(account.id), problem)


def _check_account_heads(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account in _sort_accounts(tables):
        last = chains[account.id][-1] if account.id in chains else None
        expected = (
            (last.sequence, last.balance_after, last.hash)
            if last
            else (0, 0, _get_chain_start(account))
        )
        if expected != (account.sequence, account.balance, account.head):
            problem = f"account is at {account.sequence}, its last entry at {expected[0]}"
            yield Finding(LedgerCheck.TIP_IS_LAST_ENTRY, str(account.id), problem)


def _check_chains(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account_id, entries in sorted(chains.items()):
        sequence, balance, head = 0, 0, _get_chain_start(tables.accounts.rows[account_id])
        for entry in entries:
            transaction = tables.transactions.rows.get(entry.transaction_id)
            expected = hash_entry(head, entry, transaction) if transaction else None
            follows = (sequence + 1, balance + entry.amount, expected)
            if follows != (entry.sequence, entry.balance_after, entry.hash):
                subject = f"{account_id}#{entry.sequence}"
                yield Finding(LedgerCheck.CHAIN_UNBROKEN, subject, "does not follow the one before")
            sequence, balance, head = entry.sequence, entry.balance_after, entry.hash


def _check_times(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account in _sort_accounts(tables):
        previous: datetime | None = None
        for entry in chains.get(account.id, []):
            transaction = tables.transactions.rows.get(entry.transaction_id)
            at = transaction and transaction.posted_at
            if at and previous and at < previous:
                problem = f"posted at {at}, and the entry before it at {previous}"
                yield _build_time_finding(account.id, entry.sequence, problem)
            previous = at or previous
        if account.last_posted_at and (previous is None or previous < account.last_posted_at):
            problem = f"the account stores {account.last_posted_at}, later than its last entry"
            yield _build_time_finding(account.id, account.sequence, problem)


def _build_time_finding(account_id: UUID, sequence: int, problem: str) -> Finding:
    return Finding(LedgerCheck.TIMES_IN_ORDER, f"{account_id}#{sequence}", problem)


def _get_chain_start(account: Account) -> bytes:
    return hash_account_identity(
        account.id,
        account.merchant_id,
        account.currency,
        allow_negative=account.allow_negative,
    )


def _check_payments(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.payments.rows.items()):
        payment = row.item
        captured, world = payment.amount_captured, world_account_id(payment.money.currency)
        legs = {
            (world, -captured),
            (payment.account_id, captured - payment.fee),
            (fee_account_id(payment.money.currency), payment.fee),
        }
        transaction_id = tables.transaction_ids.rows.get((id, TransactionKind.PAYMENT, None))
        if problem := _find_posting_problem(tables, payment.status, transaction_id, legs):
            yield Finding(LedgerCheck.PAYMENT_POSTED, str(id), problem)


def _check_refunds(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.refunds.rows.items()):
        refund = row.item
        amount, world = refund.money.amount, world_account_id(refund.money.currency)
        legs = {(refund.account_id, -amount), (world, amount)}
        transaction_id = tables.transaction_ids.rows.get(
            (refund.payment_id, TransactionKind.REFUND, id)
        )
        if problem := _find_posting_problem(tables, refund.status, transaction_id, legs):
            yield Finding(LedgerCheck.REFUND_POSTED, str(id), problem)


def _find_posting_problem(
    tables: Tables,
    status: Status,
    transaction_id: UUID | None,
    legs: set[tuple[UUID, int]],
) -> str | None:
    if (status is Status.SUCCESS) != (transaction_id is not None):
        return f"{status}, yet {'posted' if transaction_id else 'not posted'}"
    entries = tables.entries.rows.values()
    found = [(e.account_id, e.amount) for e in entries if e.transaction_id == transaction_id]
    expected = {leg for leg in legs if leg[1]} if transaction_id else set()
    if sorted(found) != sorted(expected):
        return "posted with another amount or account"
    return None


def _check_transactions_known(tables: Tables) -> Iterator[Finding]:
    for id, transaction in sorted(tables.transactions.rows.items()):
        if transaction.kind is TransactionKind.JOURNAL:
            continue
        refund = tables.refunds.rows.get(transaction.refund_id) if transaction.refund_id else None
        is_dispute = transaction.kind in (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL)
        subjects = tables.disputes.rows if is_dispute else tables.payments.rows
        is_known = transaction.payment_id in subjects
        if transaction.refund_id and (
            refund is None or refund.item.payment_id != transaction.payment_id
        ):
            is_known = False
        if not is_known:
            problem = "posts a payment, refund or dispute that does not exist"
            yield Finding(LedgerCheck.PAYMENT_KNOWN, str(id), problem)


def _check_refund_sums(tables: Tables) -> Iterator[Finding]:
    refunds: dict[UUID, list[Refund]] = defaultdict(list)
    for row in tables.refunds.rows.values():
        refunds[row.item.payment_id].append(row.item)
    for id, row in sorted(tables.payments.rows.items()):
        payment, payment_refunds = row.item, refunds.get(id, [])
        refunded = sum(
            refund.money.amount for refund in payment_refunds if refund.status is Status.SUCCESS
        )
        reserved = sum(
            refund.money.amount for refund in payment_refunds if refund.status is not Status.FAILED
        )
        references = {
            (refund.merchant_id, refund.account_id, refund.money.currency)
            for refund in payment_refunds
        }
        expected = (payment.merchant_id, payment.account_id, payment.money.currency)
        sums = (payment.amount_refunded, payment.refunds_reserved)
        if (
            sums != (refunded, reserved)
            or reserved > payment.amount_captured
            or references - {expected}
        ):
            problem = "amount_refunded is {} and refunds_reserved {}, its refunds sum to {} and {}"
            yield Finding(
                LedgerCheck.REFUNDS_SUMMED, str(id), problem.format(*sums, refunded, reserved)
            )


def _check_holds(tables: Tables) -> Iterator[Finding]:
    live = {key: row.hold for key, row in tables.holds.rows.items() if row.is_live}
    expected: dict[tuple[UUID, UUID | None], Hold] = {}
    for id, row in tables.payments.rows.items():
        payment = row.item
        # A reversal of what the ledger refused never had a hold.
        has_hold = payment.step in _STEPS_AFTER_HOLD or (
            payment.step is Step.REVERSE and payment.capture_amount is not None
        )
        is_being_resolved = payment.status is Status.PROCESSING and has_hold
        if payment.status is Status.AUTHORIZED or is_being_resolved:
            world, money = world_account_id(payment.money.currency), payment.money
            expected[id, None] = Hold(id, None, world, payment.account_id, money.amount)
    for id, row in tables.refunds.rows.items():
        refund, key = row.item, (row.item.payment_id, id)
        if refund.status is Status.PROCESSING and key in live:
            world, money = world_account_id(refund.money.currency), refund.money
            expected[key] = Hold(*key, refund.account_id, world, money.amount)
    wrong = {key for key in live.keys() | expected.keys() if live.get(key) != expected.get(key)}
    for payment_id, refund_id in sorted(wrong, key=str):
        hold = live.get((payment_id, refund_id))
        problem = f"{hold.amount} is held" if hold else "nothing is held"
        yield Finding(LedgerCheck.HOLD_FITS, str(refund_id or payment_id), problem)


_STEPS_AFTER_HOLD: Final = (Step.CAPTURE, Step.VOID, Step.EXPIRE)


def _check_unresolved(tables: Tables) -> Iterator[Finding]:
    """What a card network has left open is not posted, and held once something can be."""
    posted = {
        (transaction.payment_id, transaction.refund_id)
        for transaction in tables.transactions.rows.values()
    }
    live = {key: row.hold.amount for key, row in tables.holds.rows.items() if row.is_live}
    steps: list[tuple[tuple[UUID | None, UUID | None], str, int | None]] = []
    for id, row in tables.payments.rows.items():
        payment = row.item
        if payment.network_state is not None:
            has_hold = payment.step in _STEPS_AFTER_HOLD or (
                payment.step is Step.REVERSE and payment.capture_amount is not None
            )
            amount = payment.money.amount if has_hold else None
            steps.append(((id, None), payment.network_state, amount))
    for id, row in tables.refunds.rows.items():
        refund = row.item
        if refund.network_state is not None:
            steps.append(((refund.payment_id, id), refund.network_state, refund.money.amount))
    for key, state, expected in steps:
        held = live.get((key[0], key[1])) if key[0] else None
        if key in posted:
            problem = f"{state} at the network, and posted"
        elif held != expected:
            problem = f"{state} at the network, and {held or 0} is held instead of {expected or 0}"
        else:
            continue
        yield Finding(LedgerCheck.UNRESOLVED_FITS, str(key[1] or key[0]), problem)


def _check_pending(tables: Tables) -> Iterator[Finding]:
    pending_in, pending_out = Counter[UUID](), Counter[UUID]()
    for row in tables.holds.rows.values():
        if row.is_live:
            pending_in[row.hold.credit_account_id] += row.hold.amount
            pending_out[row.hold.debit_account_id] += row.hold.amount
    for (_, account_id), hold in tables.journal_holds.rows.items():
        if hold.is_live:
            pending_in[account_id] += max(hold.amount, 0)
            pending_out[account_id] += max(-hold.amount, 0)
    for account in _sort_accounts(tables):
        pending = (account.pending_in, account.pending_out)
        sums = (pending_in[account.id], pending_out[account.id])
        is_overdrawn = account.available < account.balance_bounds[0] and not _has_disputes(
            tables, account
        )
        if pending != sums or is_overdrawn:
            problem = "pending_in is {} and pending_out {}, its holds sum to {} and {}"
            yield Finding(
                LedgerCheck.PENDING_IS_SUM, str(account.id), problem.format(*pending, *sums)
            )


def _check_statuses(tables: Tables, chains: Chains) -> Iterator[Finding]:
    for account in _sort_accounts(tables):
        if account.status is AccountStatus.OPEN:
            continue
        since = account.status_changed_at
        later = (
            transaction
            for entry in chains.get(account.id, [])
            if (transaction := tables.transactions.rows.get(entry.transaction_id))
            and (since is None or transaction.posted_at > since)
        )
        is_closed = account.status is AccountStatus.CLOSED
        if is_closed and not account.is_empty and not _has_disputes(tables, account):
            problem = (
                f"is CLOSED with a balance of {account.balance}, and {account.pending_in} and"
                f" {account.pending_out} pending"
            )
        elif any(_is_of_open_account(tables, transaction) for transaction in later):
            problem = f"is {account.status}, and was posted to afterwards"
        else:
            continue
        yield Finding(LedgerCheck.STATUS_KEPT, str(account.id), problem)


def _is_of_open_account(tables: Tables, transaction: LedgerTransaction) -> bool:
    is_of_dispute = transaction.kind in (TransactionKind.DISPUTE, TransactionKind.DISPUTE_REVERSAL)
    had_hold = (transaction.payment_id, transaction.refund_id) in tables.holds.rows
    return not (is_of_dispute or had_hold)


def _has_disputes(tables: Tables, account: Account) -> bool:
    return any(row.dispute.account_id == account.id for row in tables.disputes.rows.values())


def _check_payment_accounts(tables: Tables) -> Iterator[Finding]:
    for id, row in sorted(tables.payments.rows.items()):
        payment = row.item
        account = tables.accounts.rows.get(payment.account_id)
        owner = account and (account.merchant_id, account.currency)
        if owner != (payment.merchant_id, payment.money.currency):
            problem = "its account is not the merchant's, or of another currency"
            yield Finding(LedgerCheck.PAYMENT_ACCOUNT_FITS, str(id), problem)


def _sort_accounts(tables: Tables) -> list[Account]:
    return [account for _, account in sorted(tables.accounts.rows.items())]
