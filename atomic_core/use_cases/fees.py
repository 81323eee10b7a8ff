"""Setting and listing fees."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.errors import NotFound
from atomic_core.domain.fees import FeeSchedule, FeeTerms, check_fee_terms
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class SetFees:
    """Set a merchant's fees in a currency, and open the fee account unless it exists. They apply to
    claims from now on. Raises NotFound and ValidationFailed."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID, currency: str, terms: FeeTerms) -> FeeSchedule:
        check_fee_terms(currency, terms)
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            work.accounts.open_system_accounts(currency)
            schedule = work.fees.set(merchant_id, currency, terms)
            work.commit()
        return schedule


@dataclass(frozen=True, slots=True)
class ListFees:
    """A merchant's fees, ordered by currency. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        with self.begin() as work:
            if work.merchants.get(merchant_id) is None:
                raise NotFound("No merchant has this id.")
            return work.fees.list_by_merchant(merchant_id)
