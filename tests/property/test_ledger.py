"""post(), compared with a dictionary of balances."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from atomic_core.domain.accounts import MAX_BALANCE, MAX_WORLD_BALANCE, Account
from atomic_core.domain.ledger import TransactionKind, hash_entry
from atomic_core.domain.posting import Leg, Posting, post

AT = datetime(2026, 11, 22, tzinfo=UTC)
CURRENCIES = ("USD", "EUR")
SHOPS = [
    Account.new_merchant_account(UUID(int=n + 1), UUID(int=99), f"Shop {n}", CURRENCIES[n % 2], AT)
    for n in range(4)
]
WORLDS = [Account.new_world_account(currency, AT) for currency in CURRENCIES]
ACCOUNTS = {account.id: account for account in (*SHOPS, *WORLDS)}
UNKNOWN = UUID(int=1_000)

ids = st.sampled_from([*ACCOUNTS, UNKNOWN])
# Small amounts repeat and overdraw; large ones overflow.
amounts = st.one_of(
    st.integers(1, 50),
    st.sampled_from([MAX_BALANCE - 1, MAX_BALANCE, MAX_WORLD_BALANCE - 1, MAX_WORLD_BALANCE]),
)


@st.composite
def leg_sets(draw: st.DrawFn) -> tuple[Leg, ...]:
    """Balanced legs over two to four different accounts."""
    account_ids = draw(st.lists(ids, min_size=2, max_size=4, unique=True))
    parts = [draw(amounts) * draw(st.sampled_from([1, -1])) for _ in account_ids[1:]]
    if sum(parts) == 0:
        parts[0] *= 2
    return tuple(Leg(id, part) for id, part in zip(account_ids, [-sum(parts), *parts], strict=True))


batches = st.lists(leg_sets(), max_size=30).map(
    lambda legs: [
        Posting(UUID(int=10_000 + n), UUID(int=20_000 + n), TransactionKind.PAYMENT, parts)
        for n, parts in enumerate(legs)
    ]
)


def is_allowed(balances: dict[UUID, int], posting: Posting) -> bool:
    """The rules of posting, restated for the model."""
    if any(leg.account_id == UNKNOWN for leg in posting.legs):
        return False
    if len({ACCOUNTS[leg.account_id].currency for leg in posting.legs}) > 1:
        return False
    for leg in posting.legs:
        balance_after = balances[leg.account_id] + leg.amount
        if ACCOUNTS[leg.account_id].merchant_id is None:
            if abs(balance_after) > MAX_WORLD_BALANCE:
                return False
        elif not 0 <= balance_after <= MAX_BALANCE:
            return False
    return True


@given(batches)
def test_balances_and_refusals_are_those_of_the_model(batch: list[Posting]) -> None:
    balances = dict.fromkeys(ACCOUNTS, 0)
    refused_ids: set[UUID] = set()
    for posting in batch:
        if not is_allowed(balances, posting):
            refused_ids.add(posting.transaction_id)
            continue
        for leg in posting.legs:
            balances[leg.account_id] += leg.amount
    result = post(ACCOUNTS, batch, AT)
    assert set(result.refusals) == refused_ids
    balances_after = dict.fromkeys(ACCOUNTS, 0) | {
        account.id: account.balance for account in result.accounts
    }
    assert balances_after == balances


@given(batches)
def test_transactions_balance_and_chains_are_unbroken(batch: list[Posting]) -> None:
    result = post(ACCOUNTS, batch, AT)
    sums: dict[UUID, int] = {}
    for entry in result.entries:
        sums[entry.transaction_id] = sums.get(entry.transaction_id, 0) + entry.amount
    assert set(sums.values()) <= {0}
    assert sums.keys() == {transaction.id for transaction in result.transactions}
    transactions = {transaction.id: transaction for transaction in result.transactions}
    for account in result.accounts:
        chain = [entry for entry in result.entries if entry.account_id == account.id]
        sequence, balance, head = 0, 0, ACCOUNTS[account.id].head
        for entry in chain:
            sequence, balance = sequence + 1, balance + entry.amount
            head = hash_entry(head, entry, transactions[entry.transaction_id])
            assert (entry.sequence, entry.balance_after, entry.hash) == (sequence, balance, head)
        assert (account.sequence, account.balance, account.head) == (sequence, balance, head)


@given(batches, st.data())
def test_splitting_a_batch_gives_the_same_entries(
    batch: list[Posting], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(batch)))
    whole = post(ACCOUNTS, batch, AT)
    first = post(ACCOUNTS, batch[:cut], AT)
    second = post(
        {**ACCOUNTS, **{account.id: account for account in first.accounts}}, batch[cut:], AT
    )
    assert [*first.entries, *second.entries] == whole.entries
    assert {**first.refusals, **second.refusals} == whole.refusals


@given(batches)
def test_posting_is_deterministic_and_does_not_change_its_input(batch: list[Posting]) -> None:
    before = dict(ACCOUNTS)
    assert post(ACCOUNTS, batch, AT) == post(ACCOUNTS, batch, AT)
    assert before == ACCOUNTS
