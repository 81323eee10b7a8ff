"""What operators do to payments on behalf of a merchant."""

from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from atomic_core.domain.audit_log import AuditEvent, AuditEventType
from atomic_core.domain.errors import Conflict, NotFound
from atomic_core.domain.origins import OPERATOR, Origin
from atomic_core.domain.payments import Payment
from atomic_core.domain.refunds import Refund
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.idempotency import Command


class _Request(Protocol):
    @property
    def merchant_id(self) -> UUID: ...

    @property
    def origin(self) -> Origin | None: ...


R = TypeVar("R", bound=_Request)
Outcome = TypeVar("Outcome", Payment, Refund)


@dataclass(frozen=True, slots=True)
class AuditedCommand(Command[R, Outcome]):
    """A command as an operator executes it: in the merchant's audit log, in the same commit.

    Raises what the command raises, NotFound for an unknown merchant, and Conflict for a suspended
    one.
    """

    begin: UnitOfWorkFactory
    ids: IdGenerator
    command: Command[R, Outcome]
    event_type: AuditEventType

    def execute(self, work: UnitOfWork, request: R) -> Outcome:
        merchant = work.merchants.get(request.merchant_id)
        if merchant is None:
            raise NotFound("No merchant has this id.")
        if merchant.suspended_at is not None:
            raise Conflict("This merchant is suspended. Resume it: atomic merchants resume ID")
        result = self.command.execute(work, request)
        work.audit_log.add(
            AuditEvent(
                self.ids.new_id(),
                self.event_type,
                request.origin or OPERATOR,
                request.merchant_id,
                _describe(result),
            )
        )
        return result

    def after_commit(self) -> None:
        self.command.after_commit()


def _describe(result: Payment | Refund) -> dict[str, str]:
    amount = str(result.money.amount)
    if isinstance(result, Payment):
        return {"paymentId": str(result.id), "amount": amount}
    return {"paymentId": str(result.payment_id), "refundId": str(result.id), "amount": amount}
