"""post() with holds, compared with a model of plain numbers: an amount on hold can be neither
spent nor held again, and incoming holds stay within the maximum balance."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from atomic_core.domain.accounts import MAX_BALANCE, Account
from atomic_core.domain.ledger import Hold, TransactionKind
from atomic_core.domain.posting import Leg, Posting, Refusal, post

AT = datetime(2026, 11, 22, tzinfo=UTC)
WORLD = Account.new_world_account("USD", AT)
SHOP = replace(
    Account.new_merchant_account(UUID(int=1), UUID(int=99), "Shop", "USD", AT), balance=100
)
ACCOUNTS = {account.id: account for account in (WORLD, SHOP)}

amounts = st.one_of(st.integers(1, 60), st.sampled_from([MAX_BALANCE - 100, MAX_BALANCE]))
kinds = st.sampled_from(["pay", "hold", "capture", "void", "reserve", "refund", "release"])
steps = st.lists(st.tuples(kinds, amounts, st.integers(0, 10)), max_size=40)


@dataclass
class Model:
    balance: int = SHOP.balance
    incoming: list[Hold] = field(default_factory=list)
    outgoing: list[Hold] = field(default_factory=list)

    @property
    def available(self) -> int:
        return self.balance - sum(hold.amount for hold in self.outgoing)

    @property
    def room(self) -> int:
        return MAX_BALANCE - self.balance - sum(hold.amount for hold in self.incoming)


def build_batch(
    steps: list[tuple[str, int, int]],
) -> tuple[list[Posting], dict[UUID, Refusal], Model]:
    """The batch of the steps, the expected refusals and the expected result."""
    model, batch, refusals = Model(), [], {}
    for number, (kind, amount, index) in enumerate(steps):
        id, subject = UUID(int=10_000 + number), UUID(int=20_000 + number)
        if kind in ("pay", "hold"):
            has_room = amount <= model.room
            hold = Hold(subject, None, WORLD.id, SHOP.id, amount)
            legs = (Leg(WORLD.id, -amount), Leg(SHOP.id, amount))
            if kind == "pay":
                batch.append(Posting(id, subject, TransactionKind.PAYMENT, legs))
                model.balance += amount * has_room
            else:
                batch.append(Posting(id, subject, TransactionKind.PAYMENT, (), placed_hold=hold))
                model.incoming += [hold] * has_room
            if not has_room:
                refusals[id] = Refusal.BALANCE_OVERFLOW
        elif kind == "reserve":
            hold = Hold(subject, id, SHOP.id, WORLD.id, amount)
            batch.append(Posting(id, subject, TransactionKind.REFUND, (), id, placed_hold=hold))
            if amount <= model.available:
                model.outgoing.append(hold)
            else:
                refusals[id] = Refusal.INSUFFICIENT_BALANCE
        elif kind in ("capture", "void") and model.incoming:
            hold = model.incoming.pop(index % len(model.incoming))
            captured = min(amount, hold.amount) * (kind == "capture")
            legs = (Leg(WORLD.id, -captured), Leg(SHOP.id, captured)) if captured else ()
            batch.append(
                Posting(id, hold.payment_id, TransactionKind.PAYMENT, legs, released_hold=hold)
            )
            model.balance += captured
        elif kind in ("refund", "release") and model.outgoing:
            hold = model.outgoing.pop(index % len(model.outgoing))
            refunded = hold.amount * (kind == "refund")
            legs = (Leg(SHOP.id, -refunded), Leg(WORLD.id, refunded)) if refunded else ()
            refund_id = hold.refund_id
            batch.append(
                Posting(
                    id, hold.payment_id, TransactionKind.REFUND, legs, refund_id, released_hold=hold
                )
            )
            model.balance -= refunded
    return batch, refusals, model


@given(steps)
def test_any_batch_keeps_holds_and_bounds(steps: list[tuple[str, int, int]]) -> None:
    batch, refusals, model = build_batch(steps)
    result = post(ACCOUNTS, batch, AT)
    assert result.refusals == refusals
    balances = {account.id: account.balance for account in result.accounts}
    assert balances.get(SHOP.id, SHOP.balance) == model.balance
    live_holds = set(result.placed_holds) - set(result.released_holds)
    assert live_holds == {*model.incoming, *model.outgoing}
    assert model.available >= 0
    assert model.room >= 0


@given(steps, st.integers(0, 40))
def test_pending_amounts_of_earlier_batches_count(
    steps: list[tuple[str, int, int]], cut: int
) -> None:
    batch, refusals, _ = build_batch(steps)
    first = post(ACCOUNTS, batch[:cut], AT)
    accounts = {**ACCOUNTS, **{account.id: account for account in first.accounts}}
    for hold in first.placed_holds:
        _apply_pending(accounts, hold, hold.amount)
    for hold in first.released_holds:
        _apply_pending(accounts, hold, -hold.amount)
    second = post(accounts, batch[cut:], AT)
    assert {**first.refusals, **second.refusals} == refusals


def _apply_pending(accounts: dict[UUID, Account], hold: Hold, amount: int) -> None:
    debit_account = accounts[hold.debit_account_id]
    accounts[debit_account.id] = replace(
        debit_account, pending_out=debit_account.pending_out + amount
    )
    credit_account = accounts[hold.credit_account_id]
    accounts[credit_account.id] = replace(
        credit_account, pending_in=credit_account.pending_in + amount
    )
