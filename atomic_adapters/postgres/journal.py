"""Journal transactions in PostgreSQL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from atomic_adapters.postgres.arrays import (
    bigint_array,
    smallint_array,
    text_array,
    timestamp_array,
    uuid_array,
)
from atomic_adapters.postgres.database_session import DatabaseSession, RowCheck
from atomic_adapters.postgres.origins import build_origin, build_origin_arrays
from atomic_adapters.postgres.statements import load_statements
from atomic_core.domain.journal import JournalEntry, JournalStatus, JournalTransaction
from atomic_core.domain.lists import JournalFilter, Position

_SQL: Final = load_statements("journal")


@dataclass(frozen=True, slots=True)
class PostgresJournalRepository:
    session: DatabaseSession

    def add(self, transactions: Sequence[JournalTransaction]) -> frozenset[UUID]:
        rows = self.session.fetch_all(
            _SQL["insert_journal_transactions"],
            ids=uuid_array([row.id for row in transactions]),
            merchant_ids=uuid_array([row.merchant_id for row in transactions]),
            statuses=text_array([row.status.value for row in transactions]),
            descriptions=text_array([row.description for row in transactions]),
            metadata=text_array([_encode_metadata(row.metadata) for row in transactions]),
            external_ids=text_array([row.external_id for row in transactions]),
            effective_at=timestamp_array([row.effective_at for row in transactions]),
            created_at=timestamp_array([row.created_at for row in transactions]),
            reverses_ids=uuid_array([row.reverses_id for row in transactions]),
            idempotency_keys=text_array([row.idempotency_key for row in transactions]),
            expires_at=timestamp_array([row.expires_at for row in transactions]),
            **build_origin_arrays([row.origin for row in transactions]),
        )
        inserted = frozenset(id for (id,) in rows)
        new_rows = [row for row in transactions if row.id in inserted]
        self._insert_entries(new_rows)
        self._insert_holds([row for row in new_rows if row.status is JournalStatus.PENDING])
        return inserted

    def _insert_entries(self, transactions: Sequence[JournalTransaction]) -> None:
        entries = [
            (transaction, position, entry)
            for transaction in transactions
            for position, entry in enumerate(transaction.entries)
        ]
        if entries:
            self.session.send(
                _SQL["insert_journal_entries"],
                transaction_ids=uuid_array([transaction.id for transaction, _, _ in entries]),
                account_ids=uuid_array([entry.account_id for _, _, entry in entries]),
                positions=smallint_array([position for _, position, _ in entries]),
                amounts=bigint_array([entry.amount for _, _, entry in entries]),
                created_at=timestamp_array(
                    [transaction.created_at for transaction, _, _ in entries]
                ),
            )

    def _insert_holds(self, transactions: Sequence[JournalTransaction]) -> None:
        holds = [(row, entry) for row in transactions for entry in row.entries]
        if holds:
            self.session.send(
                _SQL["insert_journal_holds"],
                transaction_ids=uuid_array([transaction.id for transaction, _ in holds]),
                account_ids=uuid_array([entry.account_id for _, entry in holds]),
                amounts=bigint_array([entry.amount for _, entry in holds]),
                placed_at=timestamp_array([transaction.created_at for transaction, _ in holds]),
            )

    def resolve(self, transactions: Sequence[JournalTransaction]) -> None:
        self.session.send_checked(
            RowCheck("journal transactions resolved", len(transactions)),
            _SQL["resolve_journal_transactions"],
            ids=uuid_array([row.id for row in transactions]),
            statuses=text_array([row.status.value for row in transactions]),
            effective_at=timestamp_array([row.effective_at for row in transactions]),
            resolved_at=timestamp_array([row.resolved_at for row in transactions]),
        )
        self.session.send_checked(
            RowCheck("journal holds released", sum(len(row.entries) for row in transactions)),
            _SQL["release_journal_holds"],
            ids=uuid_array([row.id for row in transactions]),
        )

    def lock(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        row = self.session.fetch_optional(
            _SQL["lock_journal_transaction"], id=transaction_id, merchant_id=merchant_id
        )
        return self._build_transactions([row])[0] if row else None

    def lock_expired(self, limit: int) -> Sequence[JournalTransaction]:
        rows = self.session.fetch_all(_SQL["lock_expired_journal_transactions"], limit=limit)
        return self._build_transactions(rows)

    def get(self, merchant_id: UUID, transaction_id: UUID) -> JournalTransaction | None:
        row = self.session.fetch_optional(
            _SQL["get_journal_transaction"], id=transaction_id, merchant_id=merchant_id
        )
        return self._build_transactions([row])[0] if row else None

    def find_by_external_ids(
        self, merchant_id: UUID, external_ids: Sequence[str]
    ) -> Mapping[str, UUID]:
        rows = self.session.fetch_all(
            _SQL["find_journal_transactions_by_external_id"],
            merchant_id=merchant_id,
            external_ids=text_array(external_ids),
        )
        return dict(rows)

    def list(
        self, merchant_id: UUID, filters: JournalFilter, after: Position | None, limit: int
    ) -> Sequence[JournalTransaction]:
        if filters.external_id is not None:
            return self._list_by_external_id(merchant_id, filters, after)
        top = filters.get_start_position(after)
        parameters: dict[str, Any] = {
            "merchant_id": merchant_id,
            "created_from": filters.created_from,
            "top_at": top.created_at,
            "top_id": top.id,
            "limit": limit,
        }
        if filters.account_id is None:
            rows = self.session.fetch_all(_SQL["list_journal_transactions"], **parameters)
        else:
            rows = self.session.fetch_all(
                _SQL["list_journal_transactions_of_account"],
                **parameters,
                account_id=filters.account_id,
            )
        return self._build_transactions(rows)

    def _list_by_external_id(
        self, merchant_id: UUID, filters: JournalFilter, after: Position | None
    ) -> Sequence[JournalTransaction]:
        """At most one; the other filters are compared with it."""
        ids = self.find_by_external_ids(merchant_id, [filters.external_id or ""])
        found = self.get(merchant_id, next(iter(ids.values()))) if ids else None
        if found is None or not filters.includes_time(found.created_at):
            return []
        has_account = filters.account_id in {None, *(entry.account_id for entry in found.entries)}
        is_on_page = Position(found.created_at, found.id) < filters.get_start_position(after)
        return [found] if has_account and is_on_page else []

    def _build_transactions(self, rows: Sequence[Sequence[Any]]) -> Sequence[JournalTransaction]:
        entries: dict[UUID, list[JournalEntry]] = {row[0]: [] for row in rows}
        if rows:
            for transaction_id, *entry in self.session.fetch_all(
                _SQL["list_journal_entries"], ids=uuid_array([row[0] for row in rows])
            ):
                entries[transaction_id].append(JournalEntry(*entry))
        return [_build_transaction(row, entries[row[0]]) for row in rows]


def _encode_metadata(metadata: Mapping[str, str]) -> str | None:
    return json.dumps(dict(metadata)) if metadata else None


def _build_transaction(row: Sequence[Any], entries: Sequence[JournalEntry]) -> JournalTransaction:
    """`row` has the columns of fragments/journal_columns.sql."""
    id, merchant_id, status, description, metadata, external_id, effective_at, *rest = row
    created_at, posted_at, reverses_id, reversed_by_id, idempotency_key, *rest = rest
    *origin, expires_at, resolved_at = rest
    return JournalTransaction(
        id,
        merchant_id,
        JournalStatus(status),
        entries,
        description,
        metadata or {},
        external_id,
        effective_at,
        created_at,
        posted_at,
        reverses_id,
        reversed_by_id,
        idempotency_key,
        build_origin(*origin),
        expires_at,
        resolved_at,
    )
