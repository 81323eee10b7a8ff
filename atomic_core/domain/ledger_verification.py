"""What checking the books can find. The rules are stated here once; each store applies them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MAX_FINDINGS: Final = 100
"""Findings reported per check: enough to see a pattern, bounded if every row is wrong."""


class LedgerCheck(StrEnum):
    """The rules of the books, as `atomic verify` names them."""

    CURRENCY_BALANCED = "currency_balanced"
    """The entries of one currency sum to zero. Subject: the currency."""
    TRANSACTION_BALANCED = "transaction_balanced"
    """A ledger transaction has two or more entries, of one currency, summing to zero.
    Subject: the ledger transaction."""
    BALANCE_IS_SUM = "balance_is_sum"
    """An account's cached balance is the sum of its entries, and within its bounds.
    Subject: the account."""
    TIP_IS_LAST_ENTRY = "tip_is_last_entry"
    """An account's sequence, balance and head are those of its last entry. Subject: the
    account."""
    CHAIN_UNBROKEN = "chain_unbroken"
    """Sequences are gap-free from 1, and each entry's balance and hash follow from the one
    before; the first from whose account it is. Subject: the account and the sequence where the
    chain breaks, `id#sequence`."""
    PAYMENT_POSTED = "payment_posted"
    """A payment has one ledger transaction of its own if it succeeded and none otherwise, which
    debits World by what was captured and credits the merchant's account with it, less the fee,
    which it credits to the fee account. Subject: the payment."""
    REFUND_POSTED = "refund_posted"
    """A refund has one ledger transaction if it succeeded and none otherwise, which debits the
    payment's account and credits World by its amount. Subject: the refund."""
    PAYMENT_KNOWN = "payment_known"
    """A ledger transaction's payment exists, and its refund. Subject: the ledger transaction."""
    PAYMENT_ACCOUNT_FITS = "payment_account_fits"
    """A payment's account is its merchant's and of its currency. Subject: the payment."""
    REFUNDS_SUMMED = "refunds_summed"
    """What a payment's refunds sum to is what it says, and no more than was captured; they are of
    its merchant and its account. Subject: the payment."""
    HOLD_FITS = "hold_fits"
    """A payment has a live hold, from World to its account by its amount, while it is AUTHORIZED
    or its hold is being resolved; a refund may have one, the other way round, while it is
    PROCESSING. Nothing else has one. Subject: the payment, or the refund."""
    PENDING_IS_SUM = "pending_is_sum"
    """What is pending in an account is the sum of its live holds, and what is promised is there.
    Subject: the account."""


class Finding(NamedTuple):
    check: LedgerCheck
    subject: str
    problem: str


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """The state of the books in one snapshot."""

    accounts: int
    transactions: int
    entries: int
    payments: int
    refunds: int
    holds: int
    """Live ones."""
    findings: Sequence[Finding]

    @property
    def is_clean(self) -> bool:
        return not self.findings
