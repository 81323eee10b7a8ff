"""Accounts and the ledger in PostgreSQL."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    bigint_array,
    bytea_array,
    text_array,
    transpose,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession, RowCheck
from atomic_adapters.postgres.ledger_verification import verify_ledger
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.accounts import (
    DEFAULT_TERMS,
    Account,
    AccountTerms,
    hash_account_identity,
)
from atomic_core.domain.ledger import (
    Entry,
    Hold,
    LedgerTransaction,
    PostedTransaction,
    TransactionKind,
)
from atomic_core.domain.ledger_verification import LedgerReport
from atomic_core.domain.posting import PostingResult

_SQL: Final = load_statements("ledger")

MIN_PIPELINE_ROWS: Final = 20
"""Ledger transactions. Beginning and ending a pipeline takes as long as some rows."""

_UNUSED_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""A placeholder: PostgreSQL sets created_at of an account."""


@dataclass(frozen=True, slots=True)
class PostgresAccountRepository:
    session: DatabaseSession

    def open(
        self,
        id: UUID,
        merchant_id: UUID,
        name: str,
        currency: str,
        terms: AccountTerms = DEFAULT_TERMS,
    ) -> Account:
        self.open_system_accounts(currency)
        return self.session.fetch_one_as(
            Account,
            _SQL["open_account"],
            id=id,
            merchant_id=merchant_id,
            name=name,
            currency=currency,
            type=terms.type.value,
            min_balance=terms.min_balance,
            max_balance=terms.max_balance,
            external_id=terms.external_id,
            metadata=_encode_metadata(terms.metadata),
            head=hash_account_identity(id, merchant_id, currency, allow_negative=False),
        )

    def open_system_accounts(self, currency: str) -> None:
        accounts = [
            Account.new_world_account(currency, _UNUSED_TIME),
            Account.new_fee_account(currency, _UNUSED_TIME),
        ]
        self.session.execute(
            _SQL["open_system_accounts"],
            currency=currency,
            ids=[account.id for account in accounts],
            names=[account.name for account in accounts],
            types=[account.type.value for account in accounts],
            allow_negative=[account.allow_negative for account in accounts],
            heads=[account.head for account in accounts],
        )

    def get(self, merchant_id: UUID, account_id: UUID) -> Account | None:
        return self.session.fetch_optional_as(
            Account, _SQL["get_account"], id=account_id, merchant_id=merchant_id
        )

    def update(self, account: Account) -> Account:
        return self.session.fetch_one_as(
            Account,
            _SQL["update_account"],
            id=account.id,
            name=account.name,
            metadata=_encode_metadata(account.metadata),
            status=account.status,
        )

    def find_by_external_id(self, merchant_id: UUID, external_id: str) -> UUID | None:
        row = self.session.fetch_optional(
            _SQL["find_account_by_external_id"], merchant_id=merchant_id, external_id=external_id
        )
        return row[0] if row else None

    def get_default_account(self, merchant_id: UUID, currency: str) -> Account | None:
        for statement in (_SQL["get_default_account"], _SQL["get_closed_account"]):
            account = self.session.fetch_optional_as(
                Account, statement, merchant_id=merchant_id, currency=currency
            )
            if account:
                return account
        return None

    def lock(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        accounts = self.session.fetch_all_as(Account, _SQL["lock_accounts"], ids=list(ids))
        return {account.id: account for account in accounts}

    def lock_owned(self, merchant_id: UUID, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        accounts = self.session.fetch_all_as(
            Account, _SQL["lock_owned_accounts"], ids=list(ids), merchant_id=merchant_id
        )
        return {account.id: account for account in accounts}

    def lock_available(self, ids: Iterable[UUID]) -> Mapping[UUID, Account]:
        accounts = self.session.fetch_all_as(
            Account, _SQL["lock_available_accounts"], ids=list(ids)
        )
        return {account.id: account for account in accounts}


def _encode_metadata(metadata: Mapping[str, str]) -> str | None:
    return json.dumps(dict(metadata)) if metadata else None


@dataclass(frozen=True, slots=True)
class PostgresLedgerRepository:
    session: DatabaseSession

    def save(self, result: PostingResult) -> None:
        if len(result.transactions) >= MIN_PIPELINE_ROWS:
            self.session.begin_pipeline()
        if result.released_holds:
            self._release_holds(result.released_holds)
        if result.transactions:
            self._update_accounts(result)
            self._insert_transactions(result)
        if result.entries:
            self._insert_entries(result)
        if result.placed_holds:
            self._insert_holds(result.placed_holds)

    def verify(self) -> LedgerReport:
        return verify_ledger(self.session)

    def _update_accounts(self, result: PostingResult) -> None:
        accounts = result.accounts
        self.session.send_checked(
            RowCheck("accounts updated", len(accounts)),
            _SQL["update_accounts"],
            ids=uuid_array(account.id for account in accounts),
            balances=bigint_array(account.balance for account in accounts),
            sequences=bigint_array(account.sequence for account in accounts),
            heads=bytea_array(account.head for account in accounts),
            posted_at=result.transactions[0].posted_at,
        )

    def _insert_transactions(self, result: PostingResult) -> None:
        columns = transpose(result.transactions)
        self.session.send(
            _SQL["insert_transactions"],
            ids=uuid_array(columns.id),
            payment_ids=uuid_array(columns.payment_id),
            kinds=text_array(columns.kind),
            refund_ids=uuid_array(columns.refund_id),
            posted_at=columns.posted_at[0],
        )

    def _insert_entries(self, result: PostingResult) -> None:
        columns = transpose(result.entries)
        self.session.send(
            _SQL["insert_entries"],
            transaction_ids=uuid_array(columns.transaction_id),
            account_ids=uuid_array(columns.account_id),
            sequences=bigint_array(columns.sequence),
            amounts=bigint_array(columns.amount),
            balances_after=bigint_array(columns.balance_after),
            hashes=bytea_array(columns.hash),
        )

    def list_by_payment(self, payment_id: UUID) -> Sequence[PostedTransaction]:
        transactions: dict[UUID, tuple[LedgerTransaction, list[Entry]]] = {}
        for row in self.session.fetch_all(
            _SQL["list_transactions_by_payment"], payment_id=payment_id
        ):
            id, payment_id, kind, posted_at, refund_id, *entry = row
            transaction = LedgerTransaction(
                id, payment_id, TransactionKind(kind), posted_at, refund_id
            )
            _, entries = transactions.setdefault(id, (transaction, []))
            entries.append(Entry(*entry))
        return [PostedTransaction(*pair) for pair in transactions.values()]

    def _release_holds(self, holds: Sequence[Hold]) -> None:
        self.session.send_checked(
            RowCheck("holds released", len(holds)),
            _SQL["release_holds"],
            payment_ids=uuid_array(hold.payment_id for hold in holds),
            refund_ids=uuid_array(hold.refund_id for hold in holds),
            amounts=bigint_array(hold.amount for hold in holds),
        )

    def _insert_holds(self, holds: Sequence[Hold]) -> None:
        self.session.send(
            _SQL["insert_holds"],
            payment_ids=uuid_array(hold.payment_id for hold in holds),
            refund_ids=uuid_array(hold.refund_id for hold in holds),
            debit_account_ids=uuid_array(hold.debit_account_id for hold in holds),
            credit_account_ids=uuid_array(hold.credit_account_id for hold in holds),
            amounts=bigint_array(hold.amount for hold in holds),
        )
