"""What the application's role and the read-only role may do with each table.

The only place that states it. `grants.py` applies it; tests compare it with the tables that exist
and with the statements that the application runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TablePrivileges:
    """Columns are separated by spaces."""

    insert: str = ""
    """The columns that the application gives a value to in a new row."""
    update: str = ""
    """The columns that it changes. One is also what SELECT … FOR UPDATE requires."""
    can_delete: bool = False
    can_read: bool = True
    hidden: str = ""
    """Columns that the read-only role cannot read."""


PRIVILEGES: Final[Mapping[str, TablePrivileges]] = {
    "merchants": TablePrivileges(insert="id name", update="suspended_at network"),
    "api_keys": TablePrivileges(
        insert="id merchant_id name prefix hash scopes expires_at",
        update="expires_at last_used_at revoked_at",
        hidden="hash",
    ),
    "credentials": TablePrivileges(
        insert="merchant_id email password_hash account_id",
        update="password_hash",
        hidden="password_hash",
    ),
    "sessions": TablePrivileges(
        insert="id merchant_id hash expires_at address",
        update="revoked_at",
        can_delete=True,
        hidden="hash",
    ),
    # Not `at`, which is the time of the insert.
    "audit_log": TablePrivileges(
        insert="id merchant_id event actor actor_id address request_id server_request_id email_hash"
        " details"
    ),
    # Pending amounts are written by the trigger of holds.
    "accounts": TablePrivileges(
        insert="id merchant_id name currency type allow_negative head min_balance max_balance"
        " external_id metadata",
        update="balance sequence head last_posted_at name metadata status status_changed_at",
    ),
    "ledger_transactions": TablePrivileges(insert="id payment_id kind refund_id posted_at"),
    "entries": TablePrivileges(
        insert="account_id sequence transaction_id amount balance_after hash"
    ),
    "journal_transactions": TablePrivileges(
        insert="id merchant_id status description metadata external_id effective_at created_at"
        " reverses_id idempotency_key actor actor_id client_address request_id server_request_id"
        " operator expires_at",
        # Of pending ones, once.
        update="status effective_at resolved_at",
    ),
    "journal_holds": TablePrivileges(
        insert="transaction_id account_id amount placed_at", update="released_at"
    ),
    "journal_entries": TablePrivileges(
        insert="transaction_id account_id position amount created_at"
    ),
    "balance_snapshots": TablePrivileges(
        insert="account_id day sequence balance", update="sequence balance"
    ),
    "snapshot_progress": TablePrivileges(insert="is_only", update="through after_id"),
    "ledger_periods": TablePrivileges(
        insert="id merchant_id starts_on ends_on closed_at accounts digest previous_digest"
    ),
    "closing_balances": TablePrivileges(insert="period_id sequence account_id currency balance"),
    # Written by the trigger of entries.
    "effective_shifts": TablePrivileges(),
    "holds": TablePrivileges(
        insert="payment_id refund_id debit_account_id credit_account_id amount placed_at",
        update="released_at",
    ),
    # Refunded amounts are written by the trigger of refunds.
    "payments": TablePrivileges(
        insert="id merchant_id account_id amount currency source description idempotency_key"
        " webhook_url capture step metadata request_id actor actor_id client_address"
        " server_request_id operator network",
        update="status failure_reason faults attempt due_at leased_until claimed_by claimed_at"
        " updated_at fee_amount network_state unresolved_since doubt_reported_at step"
        " reversal_reason expires_at"
        " capture_amount cancellation_reason network_reference key_generation sent_at"
        " next_action_type next_action_url",
    ),
    "refunds": TablePrivileges(
        insert="id payment_id merchant_id account_id currency amount reason metadata"
        " idempotency_key request_id due_at created_at updated_at actor actor_id client_address"
        " server_request_id operator network",
        update="status failure_reason faults attempt due_at leased_until claimed_by claimed_at"
        " updated_at network_state unresolved_since doubt_reported_at network_reference"
        " key_generation sent_at",
    ),
    "disputes": TablePrivileges(
        insert="id merchant_id payment_id account_id network network_reference status amount"
        " currency fee reason evidence_due_at created_at updated_at due_at",
        update="status fee_returned evidence_due_at evidence pending_response response_failure"
        " faults attempt updated_at closed_at due_at",
        # It may contain personal data of the merchant's customer.
        hidden="evidence",
    ),
    # Replaced by events, which has a copy of each row.
    "payment_events": TablePrivileges(can_read=False),
    "events": TablePrivileges(
        insert="id merchant_id sequence type payment_id refund_id status attempt amount reason"
        " actor actor_id client_address request_id server_request_id operator data occurred_at",
        # Of old events; the guards of migrations 0018 and 0020 keep the others.
        can_delete=True,
    ),
    "event_counters": TablePrivileges(insert="merchant_id last_sequence", update="last_sequence"),
    "webhook_streams": TablePrivileges(insert="merchant_id", update="is_due"),
    "webhook_endpoints": TablePrivileges(
        insert="id merchant_id url event_types description is_ordered secret position target",
        update="url event_types description is_ordered status disabled_reason secret former_secret"
        " former_secret_until position replays target target_at retry_at claim claimed_until"
        " claimed_by consecutive_failures failing_since paused_until updated_at deleted_at",
        can_delete=True,
        hidden="secret former_secret",
    ),
    "webhook_deliveries": TablePrivileges(
        insert="endpoint_id merchant_id event_id sequence type url status attempts retries"
        " next_attempt_at",
        update="url status attempts retries next_attempt_at updated_at",
        can_delete=True,
    ),
    # Deleted with their deliveries. A response may contain what a receiver keeps private.
    "webhook_attempts": TablePrivileges(
        insert="delivery_id number at status_code duration_ms error response",
        hidden="response",
    ),
    "network_events": TablePrivileges(
        insert="network id type payment_id refund_id dispute_reference",
        update="due_at postponements",
        can_delete=True,
    ),
    "reconciliations": TablePrivileges(
        insert="id network period_begin period_end is_scheduled created_at is_clean report"
    ),
    "fee_schedules": TablePrivileges(
        insert="merchant_id currency basis_points fixed", update="basis_points fixed updated_at"
    ),
    # A response may contain a new API key.
    "idempotency_keys": TablePrivileges(
        insert="merchant_id key method path fingerprint response_status response_body"
        " response_location expires_at",
        update="method path fingerprint response_status response_body response_location"
        " created_at expires_at",
        can_delete=True,
        hidden="response_body",
    ),
    # Written by triggers.
    "account_metadata": TablePrivileges(),
    "payment_amounts": TablePrivileges(),
    "payment_metadata": TablePrivileges(),
    "refund_metadata": TablePrivileges(),
    "payment_totals": TablePrivileges(),
    "account_checks": TablePrivileges(can_read=False),
    "journal_checks": TablePrivileges(can_read=False),
    "posting_checks": TablePrivileges(can_read=False),
    "stream_checks": TablePrivileges(can_read=False),
    "success_checks": TablePrivileges(can_read=False),
    # yoyo's. The application reads which migrations have been applied.
    "_yoyo_migration": TablePrivileges(),
    "_yoyo_log": TablePrivileges(can_read=False),
    "_yoyo_version": TablePrivileges(can_read=False),
    "yoyo_lock": TablePrivileges(can_read=False),
}

USED_SEQUENCES: Final = ("claimants",)
"""Those that the application takes numbers from. Identity columns need no privilege."""

USED_FUNCTIONS: Final = ("balances_before", "chain_start", "shift_rows")
"""Those that statements of the application, `atomic verify` and the guards call."""
