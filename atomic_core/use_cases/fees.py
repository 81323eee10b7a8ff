"""Setting and listing fees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import NotFound
from atomic_core.domain.fees import FeeSchedule, FeeTerms, check_fee_terms
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class SetFees:
    """Set a merchant's fees in a currency, and open the fee account unless it exists. They apply to
    claims from now on. The audit log keeps who set them, and the terms before. Raises NotFound and
    ValidationFailed."""

    begin: UnitOfWorkFactory
    ids: IdGenerator

    def __call__(
        self, merchant_id: UUID, currency: str, terms: FeeTerms, origin: Origin = OPERATOR
    ) -> FeeSchedule:
        check_fee_terms(currency, terms)
        with self.begin() as work:
            work.merchants.lock(merchant_id)
            work.accounts.open_system_accounts(currency)
            terms_by_currency = {
                schedule.currency: schedule.terms
                for schedule in work.fees.list_by_merchant(merchant_id)
            }
            schedule = work.fees.set(merchant_id, currency, terms)
            details = {
                "currency": currency,
                **_describe_terms(terms),
                **_describe_terms(terms_by_currency.get(currency, FeeTerms()), "previous"),
            }
            work.audit_log.add(
                AuditEvent(self.ids.new_id(), AuditEventType.FEES_SET, origin, merchant_id, details)
            )
            work.commit()
        return schedule


def _describe_terms(terms: FeeTerms, prefix: str = "") -> Mapping[str, str]:
    basis_points, fixed = str(terms.basis_points), str(terms.fixed)
    if prefix:
        return {f"{prefix}BasisPoints": basis_points, f"{prefix}Fixed": fixed}
    return {"basisPoints": basis_points, "fixed": fixed}


@dataclass(frozen=True, slots=True)
class ListFees:
    """A merchant's fees, ordered by currency. Raises NotFound."""

    begin: UnitOfWorkFactory

    def __call__(self, merchant_id: UUID) -> Sequence[FeeSchedule]:
        with self.begin() as work:
            if work.merchants.get(merchant_id) is None:
                raise NotFound("No merchant has this id.")
            return work.fees.list_by_merchant(merchant_id)
