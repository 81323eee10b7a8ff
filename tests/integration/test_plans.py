"""No hot statement reads a whole table of many payments."""

import re
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import psycopg
import pytest

from atomic_adapters.postgres import PostgresStore
from atomic_adapters.postgres.connections import Connections
from atomic_adapters.postgres.statements import load_statements
from atomic_adapters.settings import Settings
from atomic_core.application import Application
from atomic_core.domain.idempotency import StoredResponse
from atomic_core.domain.payments import CaptureMethod, NewPayment
from atomic_core.domain.refunds import NewRefund
from atomic_core.use_cases.holds import CancelRequest, CaptureRequest
from atomic_core.use_cases.payment_batches import BatchItem, PaymentBatch
from integration.million_payments import OPEN_ROWS
from support import add_merchant, build_application, build_payment, build_request, number_parameters

# A thousand of them fit on a few pages: reading them all may be the better plan.
SMALL = {
    *("event_counters", "accounts", "merchants", "api_keys", "credentials", "fee_schedules"),
    *("webhook_streams", "webhook_endpoints"),
    # Here there are none; test_dispute_plans.py has many.
    "disputes",
}

ONE = UUID(int=1)
PARAMETERS: dict[str, object] = {
    "account_id": ONE,
    "account_ids": [ONE] * 1000,
    "after": "1 day",
    "after_id": ONE,
    "alarm": "15 minutes",
    "from_now": "6 days",
    "until": "7 days",
    "end_id": ONE,
    "begin_at": "now",
    "end_at": "now",
    "amount": 1,
    "amounts": [1] * 1000,
    "attempts": [1] * 1000,
    "balances": [1] * 1000,
    "basis_points": 290,
    "before_at": None,
    "before_id": None,
    "bodies": [b""] * 1000,
    "captures": ["automatic"] * 1000,
    "worker_id": 1,
    "walk_end_id": ONE,
    "walked_rows": 49_999,
    "body": b"",
    "credit_account_ids": [ONE] * 1000,
    "currencies": ["USD"] * 1000,
    "currency": "USD",
    "days": 30,
    "debit_account_ids": [ONE] * 1000,
    "descriptions": [""] * 1000,
    "email": "a@b.example",
    "counted_merchant_ids": [ONE],
    "counts": [1000],
    "offsets": list(range(1, 1001)),
    "types": ["refund.created"] * 1000,
    "actors": ["key"] * 1000,
    "actor_ids": [ONE] * 1000,
    "data": [None] * 1000,
    "after_sequence": 0,
    "before_sequence": 2**63 - 1,
    "direction": 1,
    "failure_reasons": [None] * 1000,
    "faults": [0] * 1000,
    "fees": [0] * 1000,
    "fingerprint": bytes(32),
    "fixed": 30,
    "fingerprints": [bytes(32)] * 1000,
    "hash": bytes(32),
    "heads": [bytes(32)] * 1000,
    "hold_period": "7 days",
    "id": ONE,
    "ids": [ONE] * 1000,
    "repeats": 3,
    "retention": "1 day",
    "retentions": ["1 day"] * 1000,
    "key": "k",
    "key_ids": [ONE] * 1000,
    "keys": ["k"] * 1000,
    "lease": "5 s",
    "network_states": [None] * 1000,
    "networks": ["sandbox"] * 1000,
    "network_references": [None] * 1000,
    "key_generations": [None] * 1000,
    "sent_flags": [None] * 1000,
    "action_types": [None] * 1000,
    "action_urls": [None] * 1000,
    "action_periods": [None] * 1000,
    "reversal_reasons": [None] * 1000,
    "limit": 1000,
    "location": None,
    "locations": ["/"] * 1000,
    "merchant_id": ONE,
    "merchant_ids": [ONE] * 1000,
    "metadata": [None] * 1000,
    "method": "POST",
    "methods": ["POST"] * 1000,
    "payment_keys": ["k"] * 1000,
    "item_status": "PROCESSING",
    "overdue_by": "0 s",
    "network": "sandbox",
    "path": "/",
    "payment_id": ONE,
    "payment_ids": [ONE] * 1000,
    "paths": ["/"] * 1000,
    "lock_timeout": None,
    "reason": None,
    "reasons": [None] * 1000,
    "refund_ids": [ONE] * 1000,
    "request_ids": ["r"] * 1000,
    "client_addresses": ["192.0.2.1"] * 1000,
    "server_request_ids": [ONE] * 1000,
    "operators": [None] * 1000,
    "phases": ["OPEN", "SUCCESS"],
    "posted_at": "now",
    "response_statuses": [202] * 1000,
    "retries_after": [None] * 1000,
    "sequences": [1] * 1000,
    "sources": ["tok_visa"] * 1000,
    "status": 202,
    "step": "capture",
    "statuses": ["SUCCESS"] * 1000,
    "webhook_urls": [None] * 1000,
    "before": "now",
    "created_from": "yesterday",
    "delivery_id": ONE,
    "durations": [1] * 100,
    "endpoint_id": ONE,
    "errors": [None] * 100,
    "is_ordered": True,
    "last_retry": 10,
    "external_id": "order-1",
    "event_ids": [ONE] * 100,
    "next_attempts_at": [None] * 100,
    "responses": [""] * 100,
    "retries": [0] * 100,
    "status_codes": [200] * 100,
    "times": ["now"] * 100,
    "urls": ["https://shop.example/"] * 100,
}
HOT = [
    "sessions.find_credentials",
    "sessions.find_live_session",
    "sessions.purge_sessions",
    "sessions.revoke_session",
    "audit_log.list_audit_events",
    "dashboard.list_accounts",
    "dashboard.get_profile",
    "dashboard.sum_open_payments",
    "dashboard.sum_totals",
    "idempotency.claim_key",
    "idempotency.store_response",
    "idempotency.find_key",
    "idempotency.find_records",
    "idempotency.purge_keys",
    "events.insert_events",
    "events.list_events_by_payment",
    "events.list_stream",
    "events.list_stream_newest_first",
    "events.list_stream_by_type",
    "events.list_stream_by_type_newest_first",
    "events.list_stream_by_payment",
    "events.get_event",
    "events.get_last_sequences",
    "events.list_purgeable_streams",
    "events.purge_stream",
    "events.purge_timelines",
    "fees.list_fee_schedules",
    "fees.upsert_fee_schedule",
    "ledger.get_default_account",
    "ledger.get_closed_account",
    "ledger.find_account_by_external_id",
    "ledger.get_account",
    "ledger.lock_accounts",
    "ledger.lock_available_accounts",
    "ledger.insert_holds",
    "ledger.release_holds",
    "ledger.list_transactions_by_payment",
    "ledger.update_accounts",
    "merchants.find_active_key",
    "merchants.count_active_keys",
    "merchants.expire_key",
    "merchants.get_key",
    "merchants.get_merchant",
    "merchants.is_key_active",
    "merchants.list_keys",
    "merchants.lock_merchant",
    "merchants.set_merchant_network",
    "merchants.record_api_key_usage",
    "merchants.revoke_key",
    "admin_queries.list_all_payments",
    "admin_queries.list_all_refunds",
    "admin_queries.list_unsettled_payments",
    "admin_queries.list_unsettled_refunds",
    "admin_queries.find_walk_end_of_payments",
    "admin_queries.find_walk_end_of_refunds",
    "admin_queries.get_account",
    "admin_queries.list_account_heads",
    "admin_queries.get_payment",
    "admin_queries.list_open_networks",
    "admin_queries.count_parked",
    "admin_queries.count_open",
    "admin_queries.count_holds",
    "admin_queries.measure_backlog",
    "admin_queries.list_unresolved",
    "admin_queries.sum_unresolved",
    "reconciliation.list_postings",
    "reconciliation.list_posted",
    "reconciliation.list_booked_payments",
    "payments.insert_payments",
    "payments.claim_payments",
    "payments.claim_awaited_payments",
    "payments.claim_unresolved_payment",
    "payments.renew_payment_leases",
    "payments.expire_holds",
    "payments.find_payments",
    "payments.make_payment_due",
    "payments.lock_claimed_payments",
    "payments.lock_payment",
    "payments.abandon_awaited",
    "payments.report_payment_doubts",
    "payments.request_awaited_inquiries",
    "payments.request_payment_inquiries",
    "payments.resolve_hold",
    "payments.settle_payments",
    "refunds.claim_refunds",
    "refunds.claim_unresolved_refund",
    "refunds.lock_payment_of_refund",
    "refunds.renew_refund_leases",
    "refunds.get_refund",
    "refunds.make_refund_due",
    "refunds.report_refund_doubts",
    "refunds.request_refund_inquiries",
    "refunds.lock_refunded_payments",
    "refunds.lock_claimed_refunds",
    "refunds.list_reserved_refunds",
    "refunds.list_refunds_by_payment",
    "refunds.settle_refunds",
    "webhook_endpoints.mark_streams_due",
    "webhook_deliveries.list_retries",
    "webhook_deliveries.list_first_pending",
    "webhook_deliveries.list_failures",
    "webhook_deliveries.list_payment_urls",
    "webhook_deliveries.record_deliveries",
    "webhook_deliveries.list_deliveries",
    "webhook_deliveries.list_deliveries_by_status",
    "webhook_deliveries.list_deliveries_by_type",
    "webhook_deliveries.get_delivery",
    "webhook_deliveries.list_attempts",
    "webhook_deliveries.lock_endpoint_of_delivery",
    "webhook_deliveries.retry_delivery",
    "webhook_deliveries.measure_backlog",
    "webhook_deliveries.purge_deliveries",
    "webhook_deliveries.purge_deleted_deliveries",
]


@pytest.fixture(scope="module")
def connection(full_database: str) -> Iterator[psycopg.Connection]:
    """Shared, because to connect takes longer than to plan a statement."""
    with psycopg.connect(
        full_database, autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as connection:
        yield connection


def execute_it(values: Sequence[object]) -> bytes:
    """Without parentheses if there is no parameter."""
    holes = b", ".join([b"%s"] * len(values))
    return b"EXECUTE it" + (b" (" + holes + b")" if values else b"")


@pytest.mark.parametrize("name", HOT)
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_explain_shows_no_scan_of_a_whole_table(
    connection: psycopg.Connection, name: str, mode: str
) -> None:
    stem, short = name.split(".")
    statement, names = number_parameters(load_statements(stem)[short])
    values = [PARAMETERS[parameter] for parameter in names]
    connection.execute("DEALLOCATE ALL")
    connection.execute(f"SET plan_cache_mode = {mode}".encode())
    connection.execute(b"PREPARE it AS " + statement)
    rows = connection.execute(b"EXPLAIN " + execute_it(values), values).fetchall()
    # Not its parameters, of which some are a thousand.
    plan = "\n".join(row[0][:200] for row in rows)
    assert "Scan" in plan or "Insert" in plan
    assert not set(re.findall(r"Seq Scan on (\w+)", plan)) - SMALL, plan


def test_claim_writes_no_index(full_database: str) -> None:
    """Every claimed version finds room on its payment's page (HOT)."""
    statement, names = number_parameters(load_statements("payments")["claim_payments"])
    values = [PARAMETERS[parameter] for parameter in names]
    with psycopg.connect(full_database, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(b"PREPARE it AS " + statement)
        assert connection.execute(execute_it(values), values).rowcount == 1000
        hot = connection.execute("SELECT pg_stat_get_xact_tuples_hot_updated('payments'::regclass)")
        assert hot.fetchone() == (1000,)
        connection.rollback()


def live(application: Application, merchant_id: UUID, times: int) -> None:
    """Payments that are held, captured, let go of, expired and given back."""
    plain = build_payment(merchant_id)
    asked = NewPayment(merchant_id, plain.money, plain.source, capture=CaptureMethod.MANUAL)
    held = [application.payments.record(asked).id for _ in range(3 * times)]
    application.settlement.settle()
    for taken, gone in zip(held[:times], held[times : 2 * times], strict=True):
        application.payments.capture(CaptureRequest(merchant_id, taken, 1_000))
        application.payments.cancel(CancelRequest(merchant_id, gone))
    application.settlement.expire_holds()
    application.settlement.settle()
    for amount in (1, 2):
        for taken in held[:times]:
            application.refunds.create(NewRefund(merchant_id, taken, amount))
        application.settlement.settle()
    for taken in held[:times]:
        application.payments.get_timeline(merchant_id, taken)


def rendered(*_arguments: object) -> StoredResponse:
    return StoredResponse(202, b"")


def test_payment_life_cycle_scans_no_large_table(
    full_database: str, settings_for: Callable[..., Settings]
) -> None:
    """What EXPLAIN does not show: triggers, foreign keys, plans that were cached long ago."""
    store = PostgresStore(Connections(settings_for(full_database)))
    try:
        application = build_application(store.begin, payment_store=store)
        merchant_id = add_merchant(store.begin)
        payment = application.payments.record(build_payment(merchant_id))
        # The first settling sees a small batch, and its plans stay for the large ones.
        assert application.settlement.settle() == OPEN_ROWS + 1
        for number in range(100):
            application.payments.record(build_payment(merchant_id, number + 1))
        caller = application.api_keys.issue(merchant_id, "till").key.caller
        for number in range(20):
            asked = build_request(merchant_id, f"key {number}")
            application.payments.create(caller, build_payment(merchant_id), asked, rendered)
            application.payments.get.for_caller(caller, payment.id)
        items = [
            BatchItem(build_payment(merchant_id), build_request(merchant_id, f"key {number}"))
            for number in range(500)
        ]
        application.payments.create_batch(PaymentBatch(merchant_id, items, rendered))
        application.settlement.settle()
        application.maintenance.purge_idempotency_keys()
        live(application, merchant_id, 20)
    finally:
        store.close()
    with psycopg.connect(full_database) as connection:
        scans = dict(
            connection.execute(
                "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE last_seq_scan > "
                "(SELECT max(created_at) FROM merchants) AND seq_tup_read > 0"
            ).fetchall()
        )
    assert not scans.keys() - SMALL, scans


# Those that look up, for all rows of a statement at once, what else there is.
READING_TRIGGERS = r"""
SELECT proname, coalesce('enable_seqscan=off' = ANY (proconfig), false)
  FROM pg_proc
 WHERE prorettype = 'trigger'::regtype
   AND prosrc ~ '\mnew_\w+'
   AND prosrc ~ '(FROM|JOIN|UPDATE)\s+(accounts|payments|refunds|holds|entries|ledger_transactions)'
 ORDER BY 1
"""


def test_trigger_plans_cached_on_small_tables_suit_large_ones(database_url: str) -> None:
    """A session's triggers keep their plans until somebody analyzes their tables: 300,000 accounts
    were read for ten holds."""
    with psycopg.connect(database_url) as connection:
        triggers = dict(connection.execute(READING_TRIGGERS).fetchall())
    assert triggers == {
        "accounts_match_holds": True,
        "entries_are_shifted": True,
        "entries_must_balance": True,
        "holds_are_summed": True,
        "journal_holds_are_summed": True,
        # Asks for each row by itself, which is not answered by reading a whole table.
        "payments_are_checked_and_listed": False,
        "payment_events_are_copied": True,
        "refunds_are_summed": True,
        "refunds_match_ledger": True,
    }
