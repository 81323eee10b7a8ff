"""Changing accounts, and the balances of subtrees of accounts. `ledger.py` opens them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from atomic_core.domain.account_names import SubtreeBalances
from atomic_core.domain.accounts import Account, AccountStatus
from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import AccountClosed, AccountFrozen, AccountNotEmpty, NotFound
from atomic_core.domain.events import EventType, build_account_event
from atomic_core.domain.origins import Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command

_STATUS_EVENTS: Final = {
    AccountStatus.OPEN: EventType.ACCOUNT_REOPENED,
    AccountStatus.FROZEN: EventType.ACCOUNT_FROZEN,
    AccountStatus.CLOSED: EventType.ACCOUNT_CLOSED,
}


@dataclass(frozen=True, slots=True)
class AccountChange:
    """A request to change an account. None: unchanged."""

    merchant_id: UUID
    account_id: UUID
    name: str | None = None
    metadata: Mapping[str, str] | None = None
    """All of it: pairs that it does not have are removed."""
    status: AccountStatus | None = None
    origin: Origin | None = None
    reason: str | None = None
    """Why, for the audit log."""


@dataclass(frozen=True, slots=True)
class ChangeAccount(Command[AccountChange, Account]):
    """Rename, freeze, close or reopen an account, or replace its metadata. Locks the account, as
    postings do: what is posted later finds the new status. A change to what it is already has no
    effect.

    Raises NotFound, also for another merchant's account; AccountNotEmpty if an account that is to
    be closed has a balance or pending amounts.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, change: AccountChange) -> Account:
        accounts = work.accounts.lock_owned(change.merchant_id, [change.account_id])
        account = accounts.get(change.account_id)
        if account is None:
            raise NotFound("No account has this id.")
        changed = replace(
            account,
            name=account.name if change.name is None else change.name,
            metadata=account.metadata if change.metadata is None else change.metadata,
            status=change.status or account.status,
        )
        if changed == account:
            return account
        has_new_status = changed.status != account.status
        if has_new_status and changed.status is AccountStatus.CLOSED:
            check_empty(account)
        saved = work.accounts.update(changed)
        if (account.name, account.metadata) != (changed.name, changed.metadata):
            self._record(
                work, change, saved, EventType.ACCOUNT_UPDATED, AuditEventType.ACCOUNT_UPDATED
            )
        if has_new_status:
            type = _STATUS_EVENTS[AccountStatus(saved.status)]
            self._record(work, change, saved, type, AuditEventType.ACCOUNT_STATUS_CHANGED)
        return saved

    def _record(
        self,
        work: UnitOfWork,
        change: AccountChange,
        account: Account,
        type: EventType,
        audit_type: AuditEventType,
    ) -> None:
        work.events.add([build_account_event(change.merchant_id, account, change.origin, type)])
        if change.origin:
            details = {"accountId": str(account.id), "status": str(account.status)}
            if change.reason:
                details["reason"] = change.reason
            work.audit_log.add(
                AuditEvent(
                    self.ids.new_id(), audit_type, change.origin, account.merchant_id, details
                )
            )


def check_empty(account: Account) -> None:
    """Raises AccountNotEmpty."""
    if account.is_empty:
        return
    amounts = {
        "balance": account.balance,
        "pending.in": account.pending_in,
        "pending.out": account.pending_out,
    }
    raise AccountNotEmpty(
        details={
            name: [f"Is {amount}, and must be 0."] for name, amount in amounts.items() if amount
        }
    )


def check_open(account: Account) -> None:
    """Raises AccountFrozen or AccountClosed if the account takes no payments."""
    if account.status == AccountStatus.FROZEN:
        raise AccountFrozen(facts={"creditedAccountId": str(account.id)})
    if account.status == AccountStatus.CLOSED:
        raise AccountClosed(facts={"creditedAccountId": str(account.id)})


@dataclass(frozen=True, slots=True)
class GetSubtreeBalances:
    """The sums of a merchant's accounts whose name is `prefix` or begins with its segments, by
    currency; without a prefix, of all. Empty if there are none. See `domain/account_names.py`."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, prefix: str | None) -> SubtreeBalances:
        with self.begin() as work:
            return SubtreeBalances(prefix, work.balances.sum_subtree(merchant_id, prefix))
