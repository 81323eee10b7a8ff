"""Exchanging one currency for another through the merchant's own position accounts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from atomic_core.domain.accounts import Account
from atomic_core.domain.errors import NotFound, ValidationFailed
from atomic_core.domain.exchanges import RATE_KEY, compute_amounts, parse_rate
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.domain.origins import Origin
from atomic_core.domain.posting import Leg
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command
from atomic_core.use_cases.journal_saving import save_transaction
from atomic_core.use_cases.journal_sets import prepare_transaction


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """A request to move an amount out of the source account, in its currency, and what it is worth
    into the target account. Each position account has the currency of its side and takes the other
    half. One of the amounts is given, in minor units."""

    merchant_id: UUID
    source_account_id: UUID
    source_position_id: UUID
    target_position_id: UUID
    target_account_id: UUID
    rate: str
    """A decimal: how many major units of the target one major unit of the source is worth."""
    source_amount: int | None = None
    target_amount: int | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None
    effective_at: datetime | None = None
    idempotency_key: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ExchangeCurrency(Command[ExchangeRequest, JournalTransaction]):
    """Post an exchange as one journal transaction of two balanced halves, with the rate in its
    metadata. Raises ValidationFailed, and what PostTransaction raises."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def execute(self, work: UnitOfWork, request: ExchangeRequest) -> JournalTransaction:
        new_transaction = _build_transaction(work, request)
        transaction, result = prepare_transaction(work, self.ids.new_id(), new_transaction)
        save_transaction(work, transaction, result)
        return transaction


@dataclass(frozen=True, slots=True)
class PreviewExchange:
    """What ExchangeCurrency would post now, with the same errors. Changes nothing."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(self, request: ExchangeRequest) -> JournalTransaction:
        with self.begin() as work:
            new_transaction = _build_transaction(work, request)
            transaction, _ = prepare_transaction(work, self.ids.new_id(), new_transaction)
        return transaction


def _build_transaction(work: UnitOfWork, request: ExchangeRequest) -> NewJournalTransaction:
    rate = parse_rate(request.rate)
    if RATE_KEY in request.metadata:
        raise ValidationFailed(details={"metadata": [f"Must not have the key {RATE_KEY}."]})
    # Currencies never change, so these accounts need no lock here.
    source = _get_account(work, request, "sourceAccountId", request.source_account_id)
    target = _get_account(work, request, "targetAccountId", request.target_account_id)
    for name, position_id, account in (
        ("sourcePositionId", request.source_position_id, source),
        ("targetPositionId", request.target_position_id, target),
    ):
        position = _get_account(work, request, name, position_id)
        if position.currency != account.currency:
            problem = (
                f"Must be an account in {account.currency}; this one is in {position.currency}."
            )
            raise ValidationFailed(details={name: [problem]})
    source_amount, target_amount = compute_amounts(
        source.currency, target.currency, rate, request.source_amount, request.target_amount
    )
    return NewJournalTransaction(
        request.merchant_id,
        (
            Leg(source.id, -source_amount),
            Leg(request.source_position_id, source_amount),
            Leg(request.target_position_id, -target_amount),
            Leg(target.id, target_amount),
        ),
        request.description,
        {**request.metadata, RATE_KEY: request.rate},
        request.external_id,
        request.effective_at,
        request.idempotency_key,
        request.origin,
    )


def _get_account(work: UnitOfWork, request: ExchangeRequest, name: str, id: UUID) -> Account:
    account = work.accounts.get(request.merchant_id, id)
    if account is None:
        raise NotFound(details={name: ["No account has this id."]})
    return account
