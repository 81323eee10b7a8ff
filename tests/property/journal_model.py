"""The model of journal transactions and accounts that both stores are compared with."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from atomic_core.domain.accounts import AccountStatus, AccountType
from atomic_core.domain.money import MAX_AMOUNT
from atomic_core.domain.posting import Leg

STATUS_ERRORS: Final = {
    AccountStatus.FROZEN: "account_frozen",
    AccountStatus.CLOSED: "account_closed",
}


def describe_refusal(entry: int | str, reason: str) -> str:
    return f"transaction_refused: entries.{entry} {reason}"


@dataclass
class ModelAccount:
    owner: UUID
    currency: str
    type: AccountType = AccountType.LIABILITY
    min_balance: int | None = 0
    max_balance: int | None = None
    status: AccountStatus = AccountStatus.OPEN


@dataclass
class Model:
    """What a bookkeeper expects: balances, reserved amounts, transactions, used external ids and
    reversals. Accounts are in the order in which they were opened."""

    merchant_id: UUID
    accounts: dict[UUID, ModelAccount]
    balances: dict[UUID, int] = field(default_factory=dict)
    requested: dict[UUID, tuple[Leg, ...]] = field(default_factory=dict)
    """All transactions."""
    posted: dict[UUID, tuple[Leg, ...]] = field(default_factory=dict)
    pending: dict[UUID, tuple[Leg, ...]] = field(default_factory=dict)
    external_ids: set[str] = field(default_factory=set)
    reversed_by: dict[UUID, UUID] = field(default_factory=dict)

    def find_error(self, entries: tuple[Leg, ...], external_id: str | None) -> str | None:
        """The code of the error that a transaction must meet."""
        ids = [id for id, _ in entries]
        is_too_large = any(abs(amount) > MAX_AMOUNT for _, amount in entries)
        if len(set(ids)) < len(ids) or len(ids) < 2 or is_too_large:
            return "validation_failed"
        if external_id in self.external_ids:
            return "external_id_taken"
        if any(self.accounts[id].owner != self.merchant_id for id in ids):
            return "not_found"
        sums: dict[str, int] = {}
        for id, amount in entries:
            currency = self.accounts[id].currency
            sums[currency] = sums.get(currency, 0) + amount
        if any(sums.values()):
            return "validation_failed"
        return self.find_refusal(entries)

    def find_refusal(self, entries: tuple[Leg, ...]) -> str | None:
        """The first entry that its account does not allow, and why."""
        for index, (id, amount) in enumerate(entries):
            account, balance = self.accounts[id], self.balances.get(id, 0) + amount
            incoming, outgoing = self.get_reserved(id)
            low = -MAX_AMOUNT if account.min_balance is None else account.min_balance
            high = MAX_AMOUNT if account.max_balance is None else account.max_balance
            if account.status != AccountStatus.OPEN:
                return describe_refusal(index, STATUS_ERRORS[account.status])
            if balance < low + outgoing:
                return describe_refusal(index, "insufficient_balance")
            if balance > high - incoming:
                has_limit = account.max_balance is not None
                reason = "balance_limit_exceeded" if has_limit else "balance_overflow"
                return describe_refusal(index, reason)
        return None

    def find_status_refusal(self, entries: tuple[Leg, ...]) -> str | None:
        """As `find_refusal` for entries that are reserved: the limits allow them."""
        for index, (id, _) in enumerate(entries):
            status = self.accounts[id].status
            if status != AccountStatus.OPEN:
                return describe_refusal(index, STATUS_ERRORS[status])
        return None

    def find_status_error(self, id: UUID, status: AccountStatus) -> str | None:
        """The code of the error that changing the status of an account must meet."""
        account = self.accounts[id]
        if account.owner != self.merchant_id:
            return "not_found"
        is_closing = status is AccountStatus.CLOSED and account.status != status
        has_amounts = self.balances.get(id, 0) or any(self.get_reserved(id))
        return "account_not_empty" if is_closing and has_amounts else None

    def find_credited(self, currency: str) -> UUID:
        """The account that payments credit: the oldest liability that is not closed."""
        liabilities = [
            id
            for id, account in self.accounts.items()
            if (account.owner, account.currency) == (self.merchant_id, currency)
            and account.type is AccountType.LIABILITY
        ]
        not_closed = (id for id in liabilities if self.accounts[id].status != AccountStatus.CLOSED)
        return next(not_closed, liabilities[0])

    def sum_by_type(self) -> dict[tuple[AccountType, str], int]:
        """Credits less debits of the merchant's accounts by type and currency, where not 0."""
        sums: dict[tuple[AccountType, str], int] = {}
        for id, account in self.accounts.items():
            if account.owner == self.merchant_id:
                key = (account.type, account.currency)
                sums[key] = sums.get(key, 0) + self.balances.get(id, 0)
        return {key: amount for key, amount in sums.items() if amount}

    def get_reserved(self, account_id: UUID) -> tuple[int, int]:
        amounts = [dict(entries).get(account_id, 0) for entries in self.pending.values()]
        return sum(max(amount, 0) for amount in amounts), sum(max(-amount, 0) for amount in amounts)

    def reserve(self, id: UUID, entries: tuple[Leg, ...], external_id: str | None) -> None:
        self.requested[id] = self.pending[id] = entries
        if external_id is not None:
            self.external_ids.add(external_id)

    def find_part_error(self, id: UUID, amount: int | None) -> str | None:
        """The code of the error that posting a part of a transaction must meet."""
        if id not in self.pending:
            return "transaction_not_pending"
        if amount is None:
            return None
        if len(self.pending[id]) > 2:
            return "validation_failed"
        is_above = amount > abs(self.pending[id][0].amount)
        return "amount_exceeds_reserved" if is_above else None

    def post(self, id: UUID, entries: tuple[Leg, ...], external_id: str | None) -> None:
        self.posted[id] = entries
        self.requested.setdefault(id, entries)
        if external_id is not None:
            self.external_ids.add(external_id)
        for account_id, amount in entries:
            self.balances[account_id] = self.balances.get(account_id, 0) + amount
