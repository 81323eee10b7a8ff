"""What PostgreSQL itself refuses of holds, refunds and fees, even from psql."""

from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.domain.settlement import Claim
from atomic_core.use_cases.holds import CaptureRequest
from integration.psql_session import Execute, either_way
from support import Store, add_merchant, build_application, build_payment, open_account

OTHER = UUID(int=7)


class NamingNetwork(SandboxCardNetwork):
    """Has an id of its own for each payment, as Stripe has."""

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return [
            NetworkResponse(Verdict.APPROVED, reference=f"pi_{claim.payment_id}")
            for claim in claims
        ]


@pytest.fixture
def books(postgres_store: Store) -> dict[str, object]:
    """A payment with a refund that succeeded and one that waits, one that is held, one that is
    being captured, one that waits for its customer; ids by name for the statements below."""
    application = build_application(postgres_store.begin, card_network=NamingNetwork())
    merchant_id = add_merchant(postgres_store.begin)
    account_id = open_account(postgres_store.begin, merchant_id)
    sandbox = build_application(postgres_store.begin)
    order = build_payment(merchant_id, 5_000, source="tok_threeDSecureAbandoned")
    awaited = sandbox.payments.record(order).id
    sandbox.settlement.settle()
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))

    def accept(capture: CaptureMethod) -> UUID:
        plain = build_payment(merchant_id, 5_000)
        asked = NewPayment(merchant_id, plain.money, plain.source, capture=capture)
        return application.payments.record(asked).id

    paid, unpaid = accept(CaptureMethod.AUTOMATIC), accept(CaptureMethod.AUTOMATIC)
    held, taken = accept(CaptureMethod.MANUAL), accept(CaptureMethod.MANUAL)
    application.settlement.settle()
    refunded = application.refunds.create(NewRefund(merchant_id, paid, 1_000))
    application.settlement.settle()
    waiting = application.refunds.create(NewRefund(merchant_id, paid, 500))
    application.payments.capture(CaptureRequest(merchant_id, taken, 4_000))
    return {
        "merchant": merchant_id,
        "stranger": add_merchant(postgres_store.begin),
        "account": account_id,
        "world": world_account_id("USD"),
        "fees": fee_account_id("USD"),
        "paid": paid,
        "unpaid": unpaid,
        "held": held,
        "taken": taken,
        "refunded": refunded.id,
        "waiting": waiting.id,
        "other": OTHER,
        "awaited": awaited,
    }


REFUND = b"""
INSERT INTO refunds (id, payment_id, merchant_id, account_id, currency, amount)
VALUES (%(other)s, """

REFUSED = {
    "money that becomes pending by hand": b"UPDATE accounts SET pending_in = pending_in + 1",
    "a promise that is forgotten by hand": b"UPDATE accounts SET pending_in = 0",
    "an account that begins with something pending": b"""
        INSERT INTO accounts (id, merchant_id, name, currency, head, pending_in)
        VALUES (%(other)s, %(merchant)s, 'Rich', 'EUR', '', 1)""",
    "a merchant's account that becomes revenue": b"""
        UPDATE accounts SET type = 'revenue' WHERE id = %(account)s""",
    "a second fee account": b"""
        INSERT INTO accounts (id, name, currency, type, head)
        VALUES (%(other)s, 'Mine', 'USD', 'revenue', '')""",
    "a fee account that may go negative": b"""
        UPDATE accounts SET allow_negative = true WHERE id = %(fees)s""",
    "a second hold of a payment": b"""
        INSERT INTO holds VALUES (%(held)s, NULL, %(world)s, %(account)s, 1, now())""",
    "a second hold of a refund": b"""
        INSERT INTO holds VALUES (%(paid)s, %(refunded)s, %(account)s, %(world)s, 1, now())""",
    "a hold of more than there is": b"""
        INSERT INTO holds VALUES (%(paid)s, %(waiting)s, %(account)s, %(world)s, 99999, now())""",
    "a hold from an account to itself": b"""
        INSERT INTO holds VALUES (%(paid)s, %(waiting)s, %(account)s, %(account)s, 1, now())""",
    "a hold that was never placed": b"""
        INSERT INTO holds VALUES (%(unpaid)s, NULL, %(world)s, %(account)s, 1, now(), now())""",
    "a hold that grows": b"UPDATE holds SET amount = amount + 1 WHERE payment_id = %(held)s",
    "a hold that is released again": b"""
        UPDATE holds SET released_at = now() WHERE refund_id = %(refunded)s""",
    "a hold that is taken back": b"""
        UPDATE holds SET released_at = NULL WHERE refund_id = %(refunded)s""",
    "a deleted hold": b"DELETE FROM holds",
    "a held payment that is simply paid": b"""
        UPDATE payments SET status = 'SUCCESS' WHERE id = %(held)s""",
    "a held payment that is simply canceled": b"""
        UPDATE payments SET status = 'CANCELED', cancellation_reason = 'x' WHERE id = %(held)s""",
    "a payment that changes its network": b"""
        UPDATE payments SET network = 'stripe' WHERE id = %(unpaid)s""",
    "a refund that changes its network": b"""
        UPDATE refunds SET network = 'stripe' WHERE id = %(waiting)s""",
    "a network without a name": b"""
        UPDATE merchants SET network = '' WHERE id = %(merchant)s""",
    "a hold that expires early": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'expire', attempt = attempt + 1,
               cancellation_reason = 'expired' WHERE id = %(held)s""",
    "a hold resolved under an old attempt": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'capture' WHERE id = %(held)s""",
    "a capture that becomes a void": b"""
        UPDATE payments SET step = 'void', capture_amount = NULL WHERE id = %(taken)s""",
    "a reference that is replaced": b"""
        UPDATE payments SET network_reference = 'pi_2' WHERE id = %(held)s""",
    "a reference that is removed": b"""
        UPDATE payments SET network_reference = NULL WHERE id = %(held)s""",
    "an empty reference": b"UPDATE payments SET network_reference = '' WHERE id = %(taken)s",
    "a settled payment that is still sent": b"""
        UPDATE payments SET sent_at = now() WHERE id = %(paid)s""",
    "a capture that grows": b"UPDATE payments SET capture_amount = 4001 WHERE id = %(taken)s",
    "a capture of more than is held": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'capture', attempt = attempt + 1,
               capture_amount = 5001 WHERE id = %(held)s""",
    "a capture that ends as a cancellation": b"""
        UPDATE payments SET status = 'CANCELED', cancellation_reason = 'x' WHERE id = %(taken)s""",
    "a capture that fails without a reversal": b"""
        WITH gone AS (UPDATE holds SET released_at = now() WHERE payment_id = %(taken)s)
        UPDATE payments SET status = 'FAILED', failure_reason = 'x' WHERE id = %(taken)s""",
    "a reversal that ends at once": b"""
        UPDATE payments SET step = 'reverse', reversal_reason = 'x', status = 'FAILED',
               failure_reason = 'x' WHERE id = %(taken)s""",
    "a reversal without a reason": b"""
        UPDATE payments SET step = 'reverse' WHERE id = %(taken)s""",
    "a step that is open at the network without a time": b"""
        UPDATE payments SET network_state = 'unknown' WHERE id = %(taken)s""",
    "a payment that begins in doubt": b"""
        INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                              network_state, unresolved_since)
        SELECT %(other)s, merchant_id, account_id, 1, currency, 'tok_visa', '', 'unknown', now()
          FROM payments WHERE id = %(paid)s""",
    "a refund that fails and keeps its hold": b"""
        WITH held AS (INSERT INTO holds
                      VALUES (%(paid)s, %(waiting)s, %(account)s, %(world)s, 500, now()))
        UPDATE refunds SET status = 'FAILED', failure_reason = 'x' WHERE id = %(waiting)s""",
    "a capture that becomes a hold again": b"""
        UPDATE payments SET status = 'AUTHORIZED' WHERE id = %(taken)s""",
    "a plain payment that is held": b"""
        UPDATE payments SET capture = 'manual', step = 'authorize' WHERE id = %(unpaid)s""",
    "a payment that begins with a capture": b"""
        INSERT INTO payments (id, merchant_id, account_id, amount, currency, source, description,
                              capture, step)
        VALUES (%(other)s, %(merchant)s, %(account)s, 1, 'USD', 'tok_visa', '', 'manual',
                'capture')""",
    "a refunded sum by hand": b"UPDATE payments SET amount_refunded = 0 WHERE id = %(paid)s",
    "a reserved sum by hand": b"UPDATE payments SET refunds_reserved = 0 WHERE id = %(paid)s",
    "a fee that changes": b"UPDATE payments SET fee_amount = 1 WHERE id = %(paid)s",
    "a refund beyond the capture": REFUND + b"%(paid)s, %(merchant)s, %(account)s, 'USD', 3501)",
    "a refund of what is held": REFUND + b"%(held)s, %(merchant)s, %(account)s, 'USD', 1)",
    "a refund of another merchant's": REFUND + b"%(paid)s, %(stranger)s, %(account)s, 'USD', 1)",
    "a refund from another account": REFUND + b"%(paid)s, %(merchant)s, %(world)s, 'USD', 1)",
    "a refund of nothing": REFUND + b"%(paid)s, %(merchant)s, %(account)s, 'USD', 0)",
    "a refund of no payment": REFUND + b"%(other)s, %(merchant)s, %(account)s, 'USD', 1)",
    "a refund that succeeded and fails": b"""
        UPDATE refunds SET status = 'FAILED', failure_reason = 'x' WHERE id = %(refunded)s""",
    "a refund that changes its amount": b"UPDATE refunds SET amount = 1 WHERE id = %(waiting)s",
    "a refund under an older attempt": b"UPDATE refunds SET attempt = -1 WHERE id = %(waiting)s",
    "a refund that fails for no reason": b"""
        UPDATE refunds SET status = 'FAILED' WHERE id = %(waiting)s""",
    "a deleted refund": b"DELETE FROM refunds",
    "a second posting of a refund": b"""
        INSERT INTO ledger_transactions (id, payment_id, kind, refund_id, posted_at)
        VALUES (%(other)s, %(paid)s, 'refund', %(refunded)s, now())""",
    "a posting of a refund that does not exist": b"""
        INSERT INTO ledger_transactions (id, payment_id, kind, refund_id, posted_at)
        VALUES (%(other)s, %(paid)s, 'refund', %(other)s, now())""",
    "a posting of another payment's refund": b"""
        INSERT INTO ledger_transactions (id, payment_id, kind, refund_id, posted_at)
        VALUES (%(other)s, %(unpaid)s, 'refund', %(waiting)s, now())""",
    "a refund's posting without the refund": b"""
        INSERT INTO ledger_transactions (id, payment_id, kind, posted_at)
        VALUES (%(other)s, %(paid)s, 'refund', now())""",
    "a second posting of a payment, as if for a refund": b"""
        INSERT INTO ledger_transactions (id, payment_id, kind, refund_id, posted_at)
        VALUES (%(other)s, %(paid)s, 'payment', %(waiting)s, now())""",
    "an event that is rewritten": b"UPDATE events SET reason = 'x'",
    "an event that is forgotten": b"DELETE FROM events",
    "a wait without what to do": b"""
        UPDATE payments SET next_action_type = NULL, next_action_url = NULL
         WHERE id = %(awaited)s""",
    "what to do after the wait": b"""
        UPDATE payments SET next_action_type = 'x', next_action_url = 'x' WHERE id = %(paid)s""",
    "a wait that simply ends canceled": b"""
        UPDATE payments SET status = 'CANCELED', cancellation_reason = 'x', next_action_type = NULL,
               next_action_url = NULL WHERE id = %(awaited)s""",
    "a wait that ends without a posting": b"""
        UPDATE payments SET status = 'SUCCESS', next_action_type = NULL, next_action_url = NULL
         WHERE id = %(awaited)s""",
    "a wait given up under an old attempt": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'abandon', next_action_type = NULL,
               cancellation_reason = 'x', next_action_url = NULL WHERE id = %(awaited)s""",
    "a wait that expires early": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'abandon', attempt = attempt + 1,
               cancellation_reason = 'expired', next_action_type = NULL, next_action_url = NULL
         WHERE id = %(awaited)s""",
    "a wait of a capture": b"""
        UPDATE payments SET status = 'REQUIRES_ACTION', next_action_type = 'x',
               next_action_url = 'x' WHERE id = %(taken)s""",
    "a doubt that was reported of a settled payment": b"""
        UPDATE payments SET doubt_reported_at = now() WHERE id = %(paid)s""",
    "a fee of more than everything": b"""
        UPDATE fee_schedules SET basis_points = 10001 WHERE merchant_id = %(merchant)s""",
}


@either_way
@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED.keys())
def test_postgres_refuses(
    books: dict[str, object], database_url: str, statement: bytes, execute: Execute
) -> None:
    with psycopg.connect(database_url) as connection:
        with pytest.raises((errors.IntegrityError, errors.RestrictViolation)):
            execute(connection, statement, books)
            connection.commit()
        connection.rollback()


HONEST = {
    "a hold resolved under a new attempt": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'void', attempt = attempt + 1,
               cancellation_reason = 'x' WHERE id = %(held)s""",
    "a refund of all that is left": REFUND + b"%(paid)s, %(merchant)s, %(account)s, 'USD', 3500)",
    "a hold of what is there": b"""
        INSERT INTO holds VALUES (%(paid)s, %(waiting)s, %(account)s, %(world)s, 500, now())""",
    "a hold let go of": b"UPDATE holds SET released_at = now() WHERE payment_id = %(held)s",
    "a capture whose reversal begins": b"""
        UPDATE payments SET step = 'reverse', reversal_reason = 'x' WHERE id = %(taken)s""",
    "a wait that is given up": b"""
        UPDATE payments SET status = 'PROCESSING', step = 'abandon', attempt = attempt + 1,
               cancellation_reason = 'x', next_action_type = NULL, next_action_url = NULL
         WHERE id = %(awaited)s""",
    "a wait for a network that decides later": b"""
        UPDATE payments SET status = 'PROCESSING', network_state = 'pending',
               unresolved_since = now(), next_action_type = NULL, next_action_url = NULL
         WHERE id = %(awaited)s""",
    "a refund that fails before anything is held": b"""
        UPDATE refunds SET status = 'FAILED', failure_reason = 'x' WHERE id = %(waiting)s""",
}


@pytest.mark.parametrize("statement", HONEST.values(), ids=HONEST.keys())
def test_consistent_changes_pass_the_guards(
    books: dict[str, object], database_url: str, statement: bytes
) -> None:
    """The guards refuse what is wrong, not what is by hand; else the tests above prove little."""
    with psycopg.connect(database_url) as connection:
        assert connection.execute(statement, books).rowcount == 1
        connection.commit()
