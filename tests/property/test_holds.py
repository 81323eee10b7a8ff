"""post() with holds against plain numbers: what is promised is neither spent nor promised again,
and what may come in finds room."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from atomic_core.domain.accounts import MAX_BALANCE, Account
from atomic_core.domain.ledger import Hold, Leg, Posting, Refusal, TransactionKind, post

AT = datetime(2026, 11, 22, tzinfo=UTC)
WORLD = Account.new_world_account("USD", AT)
SHOP = replace(
    Account.new_merchant_account(UUID(int=1), UUID(int=99), "Shop", "USD", AT), balance=100
)
ACCOUNTS = {account.id: account for account in (WORLD, SHOP)}

amounts = st.one_of(st.integers(1, 60), st.sampled_from([MAX_BALANCE - 100, MAX_BALANCE]))
kinds = st.sampled_from(["pay", "hold", "capture", "void", "promise", "give back", "keep"])
steps = st.lists(st.tuples(kinds, amounts, st.integers(0, 10)), max_size=40)


@dataclass
class Plain:
    balance: int = SHOP.balance
    coming: list[Hold] = field(default_factory=list)
    going: list[Hold] = field(default_factory=list)

    @property
    def available(self) -> int:
        return self.balance - sum(hold.amount for hold in self.going)

    @property
    def room(self) -> int:
        return MAX_BALANCE - self.balance - sum(hold.amount for hold in self.coming)


def written(steps: list[tuple[str, int, int]]) -> tuple[list[Posting], dict[UUID, Refusal], Plain]:
    """The batch these steps ask for; what must be refused of it, and what must be left."""
    plain, batch, refused = Plain(), [], {}
    for number, (kind, amount, place) in enumerate(steps):
        id, subject = UUID(int=10_000 + number), UUID(int=20_000 + number)
        if kind in ("pay", "hold"):
            fits = amount <= plain.room
            hold = Hold(subject, None, WORLD.id, SHOP.id, amount)
            legs = (Leg(WORLD.id, -amount), Leg(SHOP.id, amount))
            if kind == "pay":
                batch.append(Posting(id, subject, TransactionKind.PAYMENT, legs))
                plain.balance += amount * fits
            else:
                batch.append(Posting(id, subject, TransactionKind.PAYMENT, (), placed_hold=hold))
                plain.coming += [hold] * fits
            if not fits:
                refused[id] = Refusal.BALANCE_OVERFLOW
        elif kind == "promise":
            hold = Hold(subject, id, SHOP.id, WORLD.id, amount)
            batch.append(Posting(id, subject, TransactionKind.REFUND, (), id, placed_hold=hold))
            if amount <= plain.available:
                plain.going.append(hold)
            else:
                refused[id] = Refusal.INSUFFICIENT_BALANCE
        elif kind in ("capture", "void") and plain.coming:
            hold = plain.coming.pop(place % len(plain.coming))
            taken = min(amount, hold.amount) * (kind == "capture")
            legs = (Leg(WORLD.id, -taken), Leg(SHOP.id, taken)) if taken else ()
            batch.append(
                Posting(id, hold.payment_id, TransactionKind.PAYMENT, legs, released_hold=hold)
            )
            plain.balance += taken
        elif kind in ("give back", "keep") and plain.going:
            hold = plain.going.pop(place % len(plain.going))
            given = hold.amount * (kind == "give back")
            legs = (Leg(SHOP.id, -given), Leg(WORLD.id, given)) if given else ()
            refund = hold.refund_id
            batch.append(
                Posting(
                    id, hold.payment_id, TransactionKind.REFUND, legs, refund, released_hold=hold
                )
            )
            plain.balance -= given
    return batch, refused, plain


@given(steps)
def test_holds_are_kept_whatever_else_is_asked(steps: list[tuple[str, int, int]]) -> None:
    batch, refused, plain = written(steps)
    result = post(ACCOUNTS, batch, AT)
    assert result.refusals == refused
    balances = {account.id: account.balance for account in result.accounts}
    assert balances.get(SHOP.id, SHOP.balance) == plain.balance
    live = set(result.placed_holds) - set(result.released_holds)
    assert live == {*plain.coming, *plain.going}
    assert plain.available >= 0
    assert plain.room >= 0


@given(steps, st.integers(0, 40))
def test_what_was_pending_before_a_batch_counts_in_it(
    steps: list[tuple[str, int, int]], cut: int
) -> None:
    batch, refused, _ = written(steps)
    first = post(ACCOUNTS, batch[:cut], AT)
    after = {**ACCOUNTS, **{account.id: account for account in first.accounts}}
    for hold in first.placed_holds:
        _pend(after, hold, hold.amount)
    for hold in first.released_holds:
        _pend(after, hold, -hold.amount)
    second = post(after, batch[cut:], AT)
    assert {**first.refusals, **second.refusals} == refused


def _pend(accounts: dict[UUID, Account], hold: Hold, amount: int) -> None:
    """As the store does it."""
    debited = accounts[hold.debit_account_id]
    accounts[debited.id] = replace(debited, pending_out=debited.pending_out + amount)
    credited = accounts[hold.credit_account_id]
    accounts[credited.id] = replace(credited, pending_in=credited.pending_in + amount)
