"""The rules of the ledger, as `atomic verify` checks them. Each store implements all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MAX_FINDINGS: Final = 100
"""Findings per check: enough to see a pattern, and bounded if every row is wrong."""


class LedgerCheck(StrEnum):
    """A rule, under the name that `atomic verify` prints."""

    CURRENCY_BALANCED = "currency_balanced"
    """The entries of one currency sum to zero. Subject: the currency."""
    TRANSACTION_BALANCED = "transaction_balanced"
    """A ledger transaction has two or more entries, and those of each currency sum to zero.
    Subject: the ledger transaction."""
    BALANCE_IS_SUM = "balance_is_sum"
    """An account's balance is the sum of its entries, and within its limits. Only an account with
    disputes may be beyond them. Subject: the account."""
    TIP_IS_LAST_ENTRY = "tip_is_last_entry"
    """An account's sequence, balance and head are those of its last entry. Subject: the
    account."""
    CHAIN_UNBROKEN = "chain_unbroken"
    """Sequence numbers are gap-free from 1. Each entry's balance and hash follow from the
    previous one; the first from the account's identity. Subject: the account and the sequence
    number where the chain breaks, `id#sequence`."""
    TIMES_IN_ORDER = "times_in_order"
    """No entry of an account is posted before the previous one, and the time that the account
    stores is not after its last entry. Subject: the account and the sequence number of the entry,
    `id#sequence`."""
    PAYMENT_POSTED = "payment_posted"
    """A succeeded payment has one ledger transaction of its own, other payments have none. It
    debits World by the captured amount, and credits the merchant's account with it less the fee,
    and the fee account with the fee. Subject: the payment."""
    REFUND_POSTED = "refund_posted"
    """A succeeded refund has one ledger transaction, other refunds have none. It debits the
    payment's account and credits World by the refund's amount. Subject: the refund."""
    PAYMENT_KNOWN = "payment_known"
    """The payment and the refund, or the dispute, of a ledger transaction exist, unless it is a
    journal transaction. Subject: the ledger transaction."""
    JOURNAL_POSTED = "journal_posted"
    """A journal transaction that is POSTED, and no other, has a ledger transaction with its
    entries, all in accounts of its merchant, and the other way round. If it was pending, an entry
    may have a part of the requested amount, or be missing. Subject: the transaction."""
    DISPUTE_POSTED = "dispute_posted"
    """A dispute has a ledger transaction that debits its account and credits World by its amount
    and fee; one that is WON, and no other, has a second one, which returns the amount and the
    returned part of the fee. Its payment is a success of the same merchant, account and currency,
    and not more of it is disputed than was captured. Subject: the dispute."""
    REVERSAL_NEGATES = "reversal_negates"
    """A reversal negates each entry of another transaction of its merchant, which is no reversal.
    Subject: the reversal."""
    PAYMENT_ACCOUNT_FITS = "payment_account_fits"
    """A payment's account belongs to its merchant and has its currency. Subject: the payment."""
    REFUNDS_SUMMED = "refunds_summed"
    """The sums that a payment stores are those of its refunds, and at most the captured amount. The
    refunds have its merchant and its account. Subject: the payment."""
    HOLD_FITS = "hold_fits"
    """A payment has a live hold, from World to its account and of its amount, while it is
    AUTHORIZED or that hold is being resolved. A refund can have one, in the other direction,
    while it is PROCESSING. No others exist. Subject: the payment or the refund."""
    UNRESOLVED_FITS = "unresolved_fits"
    """A step that a card network has left open is not posted. The amount of a refund, and of a
    payment after its authorization, is held; of a charge or an authorization nothing is. So what
    the report of open steps adds up is in no balance yet. Subject: the payment or the refund."""
    JOURNAL_HOLD_FITS = "journal_hold_fits"
    """A journal transaction has a live hold for each of its entries while it is PENDING, with the
    entry's amount, and none otherwise. Subject: the transaction."""
    PENDING_IS_SUM = "pending_is_sum"
    """An account's pending amounts are the sums of its live holds, and its balance covers the
    outgoing ones down to its lower limit, unless it has disputes. Subject: the account."""
    STATUS_KEPT = "status_kept"
    """A closed account is empty, unless it has disputes. After an account was frozen or closed,
    only disputes were posted, and what holds had reserved. Subject: the account."""
    TOTAL_IS_SUM = "total_is_sum"
    """A merchant's total of one UTC day, currency and status is the sum of its payments. With the
    checks of payments and refunds, it is that of the ledger. Open payments have no total. Subject:
    `merchant/day/currency/status`."""
    SNAPSHOT_IS_ENTRY = "snapshot_is_entry"
    """A snapshot has the balance that its entry left, and the day on which that was posted.
    Subject: `account/day`."""
    SHIFT_IS_SUM = "shift_is_sum"
    """What effective times shift in a month, day, minute or moment is the sum of the account's
    entries. Subject: `account/unit/begin`."""
    PERIOD_DIGEST_FITS = "period_digest_fits"
    """The digest of a closed period is that of its closing balances and of the period before.
    Subject: the period."""
    CLOSING_BALANCE_IS_SUM = "closing_balance_is_sum"
    """A closing balance is the sum of the entries that take effect before the end of the period.
    Subject: `period/account`."""


class Finding(NamedTuple):
    check: LedgerCheck
    subject: str
    problem: str


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """The row counts and findings of one snapshot of the ledger."""

    accounts: int
    transactions: int
    entries: int
    payments: int
    refunds: int
    holds: int
    """Live holds."""
    findings: Sequence[Finding]

    @property
    def is_clean(self) -> bool:
        return not self.findings
