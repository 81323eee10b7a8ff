"""The card network's side of a settlement: its verdicts, and what is known while it has not given
a final one.

The rule behind them: no answer is not a "no". Only the network's own word, or an operator who has
read its records, ends a step of a payment.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

BACK_OFF_BASE: Final = timedelta(milliseconds=500)
"""Delay after the first response that is not final; doubled after each further one. About one
sweep."""

MAX_BACK_OFF: Final = timedelta(minutes=5)
"""So that a payment is settled within minutes of its network's return."""

REPEATS_BEFORE_INQUIRY: Final = 3
"""How often a request without an answer is repeated before the network is queried about it: a lost
answer is usually repeated by the next call, within seconds. From then on the network is queried and
the request repeated in turns, because a network may be slow to find what it has processed."""

KEY_MEMORY: Final = timedelta(hours=23)
"""How long a request may be repeated under its idempotency key. Networks forget keys; Stripe keeps
them for at least 24 hours. Afterwards only an inquiry is safe."""

INQUIRIES_SKIPPED: Final = 5
"""A customer needs some seconds, and the network usually sends an event: the first inquiry about a
payment that waits for its customer comes after the delay of the fifth repetition, 16 s."""

MAX_FAULTS: Final = 30_000
"""The count of responses that are not final stops here; it is stored as a smallint."""


DECLINE_REASONS: Final = (
    *("card_declined", "insufficient_funds", "expired_card", "incorrect_cvc", "incorrect_number"),
    *("authentication_required", "card_not_supported", "currency_not_supported"),
    *("amount_not_supported", "invalid_source", "duplicate_transaction", "processing_error"),
    *("capture_declined", "hold_expired", "refund_declined", "already_refunded", "disputed"),
)
"""The failure reasons of what a network declines. Adapters map their networks' codes to them."""


DEFAULT_NETWORK: Final = "sandbox"
"""The network in Atomic's own process, which charges no card."""


class Verdict(StrEnum):
    """What a call says about one request."""

    APPROVED = "approved"
    DECLINED = "declined"
    NOT_SENT = "not_sent"
    """The network has certainly not processed this request: no connection, a rate limit, a refusal
    before processing."""
    PENDING = "pending"
    """The network has the request and decides later; the same request returns the decision."""
    UNKNOWN = "unknown"
    """No answer: a time-out, a cut connection, an error of the network. It may have processed the
    request."""
    REQUIRES_ACTION = "requires_action"
    """The network waits for the customer, who has to authenticate. Of a first step only."""
    NOT_FOUND = "not_found"
    """Of an inquiry only: the network has certainly no record of the request, and will have none.
    The request is then sent again under a new idempotency key."""


class NetworkState(StrEnum):
    """What is known of a step whose outcome is open."""

    NOT_SENT = "not_sent"
    PENDING = "pending"
    UNKNOWN = "unknown"
    """In doubt: a request was or may have been sent, and its outcome is not known."""
    REQUIRES_ACTION = "requires_action"
    """The network waits for the customer. Of claims only: the status of the payment says so."""
    REFUSED = "refused"
    """The network refuses to release money that it holds for a payment that has to end without."""


class NextAction(NamedTuple):
    """What a customer has to do so that a payment goes on, and where."""

    type: str
    """`redirect_to_url`: send the customer's browser to `url`."""
    url: str


REDIRECT: Final = "redirect_to_url"

MAX_ACTION_URL: Final = 2_048
"""Characters: what browsers and proxies take."""


class NetworkResponse(NamedTuple):
    """The card network's response to one claim. `reason` is set if it declined."""

    verdict: Verdict
    reason: str | None = None
    reference: str | None = None
    """The network's id of the payment, or of the refund. Kept only of a final verdict, and of
    REQUIRES_ACTION."""
    is_answered: bool | None = True
    """Whether the network gave an answer of its own to the request, whatever it says. A network
    that is slow to decide, or waits for an operator, answers; one that hangs does not. None if no
    request was made, for want of time."""
    next_action: NextAction | None = None
    """Of REQUIRES_ACTION."""
    dispute_reference: str | None = None
    """A dispute that the network announces with its approval. Only the sandbox does: other networks
    send events."""


def compute_back_off(faults: int) -> timedelta:
    """The delay after a response that is not final, when `faults` such responses came before."""
    # The exponent is bounded: 2**faults would exceed what a timedelta can hold.
    return min(BACK_OFF_BASE * 2 ** min(faults, 16), MAX_BACK_OFF)
