"""What PostgreSQL refuses of payments, refunds and sums that do not follow from the ledger, even
from a trigger of the caller's own, in which pg_trigger_depth() is no longer 0."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from atomic_adapters.embedded.roles import OWNER_ROLE
from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.migrations import Migrator
from atomic_adapters.settings import Settings
from atomic_core.domain.accounts import fee_account_id, world_account_id
from atomic_core.domain.fees import FeeTerms
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CaptureRequest
from integration.psql_session import (
    Execute,
    either_way,
    execute_directly,
    execute_in_trigger,
)
from migration_scripts import apply_alone, roll_back_alone
from processes import as_role
from support import (
    Store,
    add_merchant,
    build_application,
    build_payment,
    open_account,
    run_concurrently,
)

WORLD, FEES = world_account_id("USD"), fee_account_id("USD")
AMOUNT, FEE = 5_000, 50
TRANSACTION = UUID(int=7)
MINE = "0014.commit-guards"
LATER = ("0024.accept-trigger", "0030.pending-transactions")
"""Replace functions of MINE, or use them."""

Leg = tuple[str, int]


@dataclass(frozen=True)
class Books:
    """`waiting` waits for its charge, `held` is authorized. `paid` succeeded with a fee and is
    refunded in full, but for `refund`, which waits; `also_paid` has `other_refund`, which waits.
    `other` is another merchant's account."""

    url: str
    ids: dict[str, object]

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url)

    def post(
        self,
        connection: psycopg.Connection,
        payment: str,
        legs: Sequence[Leg],
        refund: str | None = None,
        transaction_id: UUID = TRANSACTION,
    ) -> None:
        """Insert a ledger transaction and its entries as the application does, but for the hash of
        the entries."""
        connection.execute(
            b"""INSERT INTO ledger_transactions (id, payment_id, kind, refund_id, posted_at)
                VALUES (%s, %s, %s, %s, now())""",
            (
                transaction_id,
                self.ids[payment],
                "refund" if refund else "payment",
                self.ids[refund] if refund else None,
            ),
        )
        entries = [
            connection.execute(
                b"""UPDATE accounts SET balance = balance + %(amount)s, sequence = sequence + 1,
                           head = sha256(head)
                     WHERE id = %(id)s
                 RETURNING id, sequence, %(amount)s::bigint, balance, head""",
                {"id": self.ids[account], "amount": amount},
            ).fetchone()
            for account, amount in legs
        ]
        columns = [list(column) for column in zip(*filter(None, entries), strict=True)]
        connection.execute(
            b"""INSERT INTO entries (transaction_id, account_id, sequence, amount, balance_after,
                                     hash)
                SELECT %s, * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[],
                                         %s::bytea[])""",
            (transaction_id, *columns),
        )


@pytest.fixture
def books(postgres_store: Store, database_url: str) -> Books:
    application = build_application(postgres_store.begin)
    merchant_id = add_merchant(postgres_store.begin)
    account_id = open_account(postgres_store.begin, merchant_id)
    application.fees.set(merchant_id, "USD", FeeTerms(100, 0))
    other_merchant_id = add_merchant(postgres_store.begin)
    other_id = open_account(postgres_store.begin, other_merchant_id)
    application.payments.record(build_payment(other_merchant_id, AMOUNT))

    def record(capture: CaptureMethod = CaptureMethod.AUTOMATIC) -> UUID:
        plain = build_payment(merchant_id, AMOUNT)
        new = NewPayment(merchant_id, plain.money, plain.source, capture=capture)
        return application.payments.record(new).id

    paid, also_paid, held = record(), record(), record(CaptureMethod.MANUAL)
    application.settlement.settle()
    refunded = application.refunds.create(NewRefund(merchant_id, paid, AMOUNT - 1_000))
    application.settlement.settle()
    refund = application.refunds.create(NewRefund(merchant_id, paid, 1_000))
    other_refund = application.refunds.create(NewRefund(merchant_id, also_paid, 1_000))
    waiting = record()
    return Books(
        database_url,
        {
            "merchant": merchant_id,
            "account": account_id,
            "other": other_id,
            "world": WORLD,
            "fees": FEES,
            "paid": paid,
            "also_paid": also_paid,
            "held": held,
            "waiting": waiting,
            "refunded": refunded.id,
            "refund": refund.id,
            "other_refund": other_refund.id,
            "transaction": TRANSACTION,
        },
    )


def refuse(
    books: Books, statements: Sequence[bytes], execute: Execute = execute_directly
) -> psycopg.errors.Error:
    """Each statement but the last is accepted; the last one is refused, or the commit after it."""
    *before, last = statements
    with books.connect() as connection:
        for statement in before:
            connection.execute(statement, books.ids)
        with pytest.raises((errors.IntegrityError, errors.RestrictViolation)) as refusal:
            execute(connection, last, books.ids)
            connection.commit()
        connection.rollback()
    return refusal.value


# --- Payments and refunds that succeed, and what is posted for them.

SUCCEED = b"UPDATE payments SET status = 'SUCCESS', fee_amount = 50 WHERE id = %(waiting)s"
SUCCEED_WITHOUT_FEE = b"UPDATE payments SET status = 'SUCCESS' WHERE id = %(waiting)s"
SUCCEED_HALF_FEE = (
    b"UPDATE payments SET status = 'SUCCESS', fee_amount = 2500 WHERE id = %(waiting)s"
)
SUCCEED_REFUND = b"UPDATE refunds SET status = 'SUCCESS' WHERE id = %(refund)s"
RIGHT_LEGS = (("world", -AMOUNT), ("account", AMOUNT - FEE), ("fees", FEE))
REFUND_LEGS = (("account", -1_000), ("world", 1_000))

WRONG_POSTINGS: dict[str, tuple[bytes, tuple[Leg, ...]]] = {
    "too little": (SUCCEED, (("world", -4_999), ("account", 4_949), ("fees", 50))),
    "too much": (SUCCEED, (("world", -5_001), ("account", 4_951), ("fees", 50))),
    "another merchant's account": (SUCCEED, (("world", -5_000), ("other", 4_950), ("fees", 50))),
    "another fee": (SUCCEED, (("world", -5_000), ("account", 4_951), ("fees", 49))),
    "no fee": (SUCCEED, (("world", -5_000), ("account", 5_000))),
    "a fee of a payment without one": (SUCCEED_WITHOUT_FEE, RIGHT_LEGS),
    "the fee to another merchant": (
        SUCCEED,
        (("world", -5_000), ("account", 4_950), ("other", 50)),
    ),
    "the fee in two parts": (
        SUCCEED,
        (("world", -5_000), ("account", 4_950), ("fees", 25), ("fees", 25)),
    ),
    "the merchant's part to the fee account": (
        SUCCEED_HALF_FEE,
        (("world", -5_000), ("fees", 2_500), ("fees", 2_500)),
    ),
    "a payment of another beside it": (
        SUCCEED,
        (*RIGHT_LEGS, ("world", -1), ("other", 1)),
    ),
    "from another merchant": (SUCCEED_WITHOUT_FEE, (("fees", -50), ("account", 50))),
}


@either_way
@pytest.mark.parametrize("statement", [SUCCEED, SUCCEED_REFUND], ids=["payment", "refund"])
def test_success_without_posting_is_refused(
    books: Books, execute: Execute, statement: bytes
) -> None:
    refuse(books, [statement], execute)


@pytest.mark.parametrize(("succeed", "legs"), WRONG_POSTINGS.values(), ids=WRONG_POSTINGS.keys())
def test_success_with_a_wrong_posting_is_refused(
    books: Books, succeed: bytes, legs: Sequence[Leg]
) -> None:
    with books.connect() as connection:
        books.post(connection, "waiting", legs)
        with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
            execute_in_trigger(connection, succeed, books.ids)
            connection.commit()


@pytest.mark.parametrize(
    "legs",
    [
        (("account", -999), ("world", 999)),
        (("other", -1_000), ("world", 1_000)),
        (("account", -1_000), ("fees", 1_000)),
        (("account", -999), ("fees", -1), ("world", 1_000)),
        (("account", -1_000), ("world", 1_000), ("account", -1), ("world", 1)),
    ],
)
def test_refund_with_a_wrong_posting_is_refused(books: Books, legs: Sequence[Leg]) -> None:
    with books.connect() as connection:
        books.post(connection, "paid", legs, refund="refund")
        with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
            execute_in_trigger(connection, SUCCEED_REFUND, books.ids)
        connection.rollback()


def test_success_before_its_posting_is_accepted_if_both_are_committed(books: Books) -> None:
    with books.connect() as connection:
        connection.execute(SUCCEED, books.ids)
        books.post(connection, "waiting", RIGHT_LEGS)
        connection.commit()
        assert connection.execute("SELECT count(*) FROM success_checks").fetchone() == (0,)


@pytest.mark.parametrize(
    "legs", [legs for succeed, legs in WRONG_POSTINGS.values() if succeed == SUCCEED]
)
def test_wrong_posting_after_the_success_is_refused(books: Books, legs: Sequence[Leg]) -> None:
    with books.connect() as connection:
        connection.execute(SUCCEED, books.ids)
        books.post(connection, "waiting", legs)
        with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
            connection.commit()


def test_check_of_a_success_cannot_be_deleted_before_the_commit(books: Books) -> None:
    with books.connect() as connection:
        connection.execute(SUCCEED, books.ids)
        assert connection.execute("DELETE FROM success_checks").rowcount == 1
        with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
            connection.commit()


def test_success_with_the_merchants_part_three_times_is_refused(
    postgres_store: Store, books: Books
) -> None:
    """Its legs sum to zero, and each of them is one that the posting should have."""
    merchant_id = books.ids["merchant"]
    assert isinstance(merchant_id, UUID)
    payment = build_application(postgres_store.begin).payments.record(
        build_payment(merchant_id, 3_000)
    )
    books.ids["thirds"] = payment.id
    with books.connect() as connection:
        books.post(connection, "thirds", (("world", -3_000), *[("account", 1_000)] * 3))
        with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
            connection.execute(
                b"UPDATE payments SET status = 'SUCCESS', fee_amount = 2000 WHERE id = %(thirds)s",
                books.ids,
            )
            connection.commit()


def test_two_successes_with_one_posting_are_refused(postgres_store: Store, books: Books) -> None:
    application = build_application(postgres_store.begin)
    merchant_id = books.ids["merchant"]
    assert isinstance(merchant_id, UUID)
    application.payments.record(build_payment(merchant_id, AMOUNT))
    with books.connect() as connection:
        books.post(connection, "waiting", RIGHT_LEGS)
        with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
            connection.execute(
                b"""UPDATE payments SET status = 'SUCCESS', fee_amount = 50
                     WHERE phase = 'OPEN'"""
            )
            connection.commit()


@pytest.mark.parametrize(
    "end",
    [
        b"SELECT 1",
        b"UPDATE payments SET status = 'FAILED', failure_reason = 'x' WHERE id = %(waiting)s",
    ],
    ids=["stays open", "fails"],
)
def test_posting_of_a_payment_that_does_not_succeed_is_refused_at_commit(
    books: Books, end: bytes
) -> None:
    with books.connect() as connection:
        books.post(connection, "waiting", RIGHT_LEGS)
        connection.execute(end, books.ids)
        with pytest.raises(errors.IntegrityError, match="did not succeed"):
            connection.commit()


def test_posting_of_a_refund_that_does_not_succeed_is_refused_at_commit(books: Books) -> None:
    with books.connect() as connection:
        books.post(connection, "paid", REFUND_LEGS, refund="refund")
        with pytest.raises(errors.IntegrityError, match="did not succeed"):
            connection.commit()


def test_postings_of_two_refunds_in_each_others_place_are_refused(books: Books) -> None:
    with books.connect() as connection:
        books.post(connection, "also_paid", REFUND_LEGS, "refund")
        books.post(connection, "paid", REFUND_LEGS, "other_refund", UUID(int=8))
        with pytest.raises(errors.IntegrityError):
            connection.execute(b"UPDATE refunds SET status = 'SUCCESS' WHERE phase = 'OPEN'")
            connection.commit()
        connection.rollback()


def test_transaction_without_entries_is_refused(books: Books) -> None:
    new_transaction = b"""
        INSERT INTO ledger_transactions VALUES (%(transaction)s, %(waiting)s, 'payment', now())"""
    refuse(books, [new_transaction])


def test_check_of_a_posting_cannot_be_deleted_before_the_commit(books: Books) -> None:
    with books.connect() as connection:
        books.post(connection, "waiting", RIGHT_LEGS)
        assert connection.execute("DELETE FROM posting_checks").rowcount == 1
        with pytest.raises(errors.IntegrityError, match="did not succeed"):
            connection.commit()


def test_check_of_a_balance_cannot_be_deleted_before_the_commit(books: Books) -> None:
    with books.connect() as connection:
        connection.execute(
            b"UPDATE accounts SET balance = balance + 1 WHERE id = %(other)s", books.ids
        )
        assert connection.execute("DELETE FROM account_checks").rowcount == 1
        with pytest.raises(errors.IntegrityError, match="does not follow from its entries"):
            connection.commit()


@either_way
def test_success_with_the_right_posting_is_accepted(books: Books, execute: Execute) -> None:
    with books.connect() as connection:
        books.post(connection, "waiting", RIGHT_LEGS)
        execute(connection, SUCCEED, books.ids)
        connection.commit()
        assert connection.execute("SELECT count(*) FROM posting_checks").fetchone() == (0,)


def test_fee_of_the_whole_amount_is_accepted(books: Books) -> None:
    with books.connect() as connection:
        books.post(connection, "waiting", (("world", -AMOUNT), ("fees", AMOUNT)))
        connection.execute(
            b"UPDATE payments SET status = 'SUCCESS', fee_amount = amount WHERE id = %(waiting)s",
            books.ids,
        )
        connection.commit()


def test_refund_with_the_right_posting_is_accepted(books: Books) -> None:
    with books.connect() as connection:
        books.post(connection, "paid", REFUND_LEGS, refund="refund")
        connection.execute(SUCCEED_REFUND, books.ids)
        connection.commit()


def test_capture_of_a_part_needs_a_posting_of_this_part(books: Books) -> None:
    capture = b"""
        UPDATE payments SET status = 'PROCESSING', step = 'capture', attempt = attempt + 1,
               capture_amount = 4000 WHERE id = %(held)s"""
    release = b"UPDATE holds SET released_at = now() WHERE payment_id = %(held)s"
    succeed = b"UPDATE payments SET status = 'SUCCESS' WHERE id = %(held)s"
    for amount, is_right in ((AMOUNT, False), (4_000, True)):
        with books.connect() as connection:
            connection.execute(capture, books.ids)
            connection.execute(release, books.ids)
            books.post(connection, "held", (("world", -amount), ("account", amount)))
            if is_right:
                connection.execute(succeed, books.ids)
                connection.commit()
            else:
                with pytest.raises(errors.CheckViolation, match="does not match the ledger"):
                    connection.execute(succeed, books.ids)
                    connection.commit()


# --- Sums of refunds and of holds.

WRONG_SUMS = {
    "refunds that are forgotten": b"""
        UPDATE payments SET refunds_reserved = NULL, amount_refunded = NULL WHERE id = %(paid)s""",
    "a reserved sum that is lowered": b"""
        UPDATE payments SET refunds_reserved = 4000 WHERE id = %(paid)s""",
    "a refunded sum that is lowered": b"""
        UPDATE payments SET amount_refunded = 3999 WHERE id = %(paid)s""",
    "a refunded sum that is raised": b"""
        UPDATE payments SET amount_refunded = 5000 WHERE id = %(paid)s""",
    "a success that begins with sums": b"""
        UPDATE payments SET status = 'SUCCESS', refunds_reserved = 0 WHERE id = %(waiting)s""",
    "a pending sum that is raised": b"""
        UPDATE accounts SET pending_in = pending_in + 1 WHERE id = %(account)s""",
    "a pending sum that is forgotten": b"""
        UPDATE accounts SET pending_in = 0 WHERE id = %(account)s""",
    "a promise that is forgotten": b"""
        UPDATE accounts SET pending_out = 0 WHERE id = %(world)s""",
    "a pending sum with its own record": b"""
        UPDATE accounts SET pending_in = pending_in + 1, pending_in_before = pending_in + 1,
               summed_by = pg_current_xact_id(), summed_since = now()
         WHERE id = %(account)s""",
    "an account that is opened with a record of sums": b"""
        INSERT INTO accounts (id, merchant_id, name, currency, head, summed_by, summed_since,
                              pending_in_before)
        SELECT %(transaction)s, a.merchant_id, 'Mine', a.currency,
               sha256(uuid_send(%(transaction)s) || uuid_send(a.merchant_id) || '\\x00'
                      || decode(a.currency, 'escape')),
               pg_current_xact_id(), now(), 1
          FROM accounts a WHERE a.id = %(account)s""",
    "a live hold that is counted twice": b"""
        UPDATE holds SET released_at = NULL WHERE payment_id = %(held)s""",
}


@either_way
@pytest.mark.parametrize("statement", WRONG_SUMS.values(), ids=WRONG_SUMS.keys())
def test_wrong_sum_is_refused(books: Books, execute: Execute, statement: bytes) -> None:
    refuse(books, [statement], execute)


def test_second_full_refund_is_refused(books: Books) -> None:
    refuse(
        books,
        [
            b"""
            WITH forgotten AS (
                UPDATE payments SET refunds_reserved = NULL, amount_refunded = NULL
                 WHERE id = %(paid)s)
            INSERT INTO refunds (id, payment_id, merchant_id, account_id, currency, amount)
            VALUES (%(transaction)s, %(paid)s, %(merchant)s, %(account)s, 'USD', 5000)"""
        ],
        execute_in_trigger,
    )


def test_record_of_pending_sums_cannot_be_written(books: Books) -> None:
    write_record = b"""
        UPDATE accounts
           SET summed_by = pg_current_xact_id(), summed_since = now(),
               pending_in_before = pending_in + 1, pending_out_before = pending_out
         WHERE id = %(account)s"""
    use_record = b"UPDATE accounts SET pending_in = pending_in + 1 WHERE id = %(account)s"
    refuse(books, [write_record, use_record])


def test_sums_forgotten_after_a_change_of_holds_are_refused(books: Books) -> None:
    release = b"UPDATE holds SET released_at = now() WHERE payment_id = %(held)s"
    raise_again = b"UPDATE accounts SET pending_in = pending_in + 5000 WHERE id = %(account)s"
    refuse(books, [release, raise_again], execute_in_trigger)


def test_hold_placed_and_released_in_one_transaction_is_accepted(books: Books) -> None:
    with books.connect() as connection:
        before = connection.execute("SELECT id, pending_in, pending_out FROM accounts").fetchall()
        connection.execute(
            b"INSERT INTO holds VALUES (%(paid)s, %(refund)s, %(account)s, %(world)s, 9, now())",
            books.ids,
        )
        with connection.transaction():
            connection.execute(
                b"UPDATE holds SET released_at = now() WHERE refund_id = %(refund)s", books.ids
            )
        after = connection.execute("SELECT id, pending_in, pending_out FROM accounts").fetchall()
        connection.commit()
    assert sorted(after) == sorted(before)


FORGED_TRANSITIONS = {
    "holds": b"""
        CREATE TEMP TABLE forged (LIKE holds);
        CREATE TRIGGER forged AFTER INSERT ON forged REFERENCING NEW TABLE AS new_holds
            FOR EACH STATEMENT EXECUTE FUNCTION holds_are_summed();
        INSERT INTO forged (payment_id, debit_account_id, credit_account_id, amount, placed_at,
                            released_at)
        SELECT payment_id, debit_account_id, credit_account_id, amount, now(), now()
          FROM holds WHERE released_at IS NULL""",
    "refunds": b"""
        CREATE TEMP TABLE forged (LIKE refunds);
        CREATE TRIGGER forged AFTER INSERT ON forged REFERENCING NEW TABLE AS new_refunds
            FOR EACH STATEMENT EXECUTE FUNCTION refunds_are_summed();
        INSERT INTO forged (id, payment_id, merchant_id, account_id, currency, amount, status,
                            attempt, faults, due_at, created_at, updated_at, phase)
        SELECT id, payment_id, merchant_id, account_id, currency, -amount, status,
               attempt, faults, due_at, created_at, updated_at, phase
          FROM refunds WHERE phase = 'OPEN'""",
}


@pytest.mark.parametrize("script", FORGED_TRANSITIONS.values(), ids=FORGED_TRANSITIONS.keys())
def test_summing_functions_on_a_table_of_ones_own_are_refused(books: Books, script: bytes) -> None:
    refuse(books, script.split(b";"))


SHADOWED = {
    "a hold that is kept behind a table of the same name": b"""
        CREATE TEMP TABLE holds (LIKE public.holds);
        UPDATE public.payments SET status = 'PROCESSING', step = 'void', attempt = attempt + 1,
               cancellation_reason = 'x' WHERE id = %(held)s;
        UPDATE public.payments SET status = 'CANCELED' WHERE id = %(held)s""",
    "a refund that is summed elsewhere": b"""
        CREATE TEMP TABLE payments AS SELECT * FROM public.payments;
        INSERT INTO public.refunds (id, payment_id, merchant_id, account_id, currency, amount)
        VALUES (%(transaction)s, %(paid)s, %(merchant)s, %(account)s, 'USD', 5000)""",
    "a success that another ledger explains": b"""
        CREATE TEMP TABLE ledger_transactions AS
        SELECT %(transaction)s::uuid AS id, %(waiting)s::uuid AS payment_id, 'payment' AS kind,
               NULL::uuid AS refund_id;
        CREATE TEMP TABLE entries AS
        SELECT %(transaction)s::uuid AS transaction_id, leg.account_id, leg.amount
          FROM (VALUES (%(world)s::uuid, -5000::bigint), (%(account)s, 4950), (%(fees)s, 50))
               AS leg (account_id, amount);
        UPDATE payments SET status = 'SUCCESS', fee_amount = 50 WHERE id = %(waiting)s""",
    "a balance that other entries explain": b"""
        CREATE TEMP TABLE entries AS
        SELECT account_id, sequence, transaction_id, amount, balance_after + 1 AS balance_after,
               hash
          FROM public.entries;
        UPDATE accounts SET balance = balance + 1 WHERE id = %(account)s""",
}


@pytest.mark.parametrize("script", SHADOWED.values(), ids=SHADOWED.keys())
def test_temporary_tables_do_not_hide_the_books_from_the_guards(
    books: Books, script: bytes
) -> None:
    refuse(books, script.split(b";"))


def test_guards_read_only_the_tables_of_their_schema(database_url: str) -> None:
    """Without a search_path of its own a trigger's function reads the caller's temporary tables
    first."""
    with psycopg.connect(database_url) as connection:
        functions = connection.execute(
            b"""SELECT DISTINCT p.proname, setting
                  FROM pg_trigger t
                  JOIN pg_proc p ON p.oid = t.tgfoid
                  LEFT JOIN LATERAL unnest(p.proconfig) AS setting
                       ON setting LIKE 'search_path=%%'
                 WHERE NOT t.tgisinternal AND p.pronamespace = 'public'::regnamespace""",
            (),
        ).fetchall()
    settings = dict(functions)
    # It reads no table.
    del settings["refuse_change"]
    assert set(settings.values()) == {"search_path=pg_catalog, public, pg_temp"}, settings


def test_no_guard_relies_on_the_depth_of_triggers(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            b"""SELECT tgname FROM pg_trigger
                 WHERE pg_get_triggerdef(oid) LIKE '%%pg_trigger_depth%%'
                 UNION ALL
                SELECT proname FROM pg_proc
                 WHERE pronamespace = 'public'::regnamespace
                   AND prosrc LIKE '%%pg_trigger_depth%%'""",
            (),
        ).fetchall()
    assert rows == []


# --- The migration.


def roll_back(url: str) -> None:
    """Roll back the migration that brought these guards, and those after it."""
    while Migrator(url).down() != MINE:
        pass


def test_migration_runs_while_payments_are_made_captured_and_refunded(
    own_database: Callable[..., str], settings_for: Callable[..., Settings], migrated: str
) -> None:
    url = own_database(migrated)
    # As the owner: without 0015 the triggers have the rights of the application.
    owner_url = as_role(url, OWNER_ROLE)
    store = PostgresStore(Connections(settings_for(owner_url)))
    stopped = threading.Event()
    try:
        application = build_application(store.begin)
        merchant_id = add_merchant(store.begin)
        plain = build_payment(merchant_id, AMOUNT)
        manual = NewPayment(merchant_id, plain.money, plain.source, capture=CaptureMethod.MANUAL)

        def make_payments() -> None:
            while not stopped.is_set():
                application.payments.record(plain)

        def capture_and_refund() -> None:
            while not stopped.is_set():
                id = application.payments.record(manual).id
                application.settlement.settle()
                application.payments.capture(CaptureRequest(merchant_id, id))
                application.settlement.settle()
                application.refunds.create(NewRefund(merchant_id, id, 1_000))

        def migrate() -> None:
            try:
                for _ in range(3):
                    for name in (*reversed(LATER), MINE):
                        roll_back_alone(owner_url, name)
                    for name in (MINE, *LATER):
                        apply_alone(owner_url, name)
            finally:
                stopped.set()

        run_concurrently([make_payments, capture_and_refund, migrate])
        application.settlement.settle()
        with store.begin() as work:
            report = work.ledger.verify()
        assert report.refunds > 0
        assert not report.findings
    finally:
        store.close()
