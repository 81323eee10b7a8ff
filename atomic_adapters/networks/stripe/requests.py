"""The requests of each step, and the look-ups of what became of them. Each method raises what
Stripe's client raises."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import stripe

from atomic_adapters.networks.stripe.fields import read_text
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim

PAYMENT: Final = "atomic_payment"
"""Metadata of a PaymentIntent and of a refund: the id of the payment."""

REFUND: Final = "atomic_refund"
"""Metadata of a refund: its id."""

MERCHANT: Final = "atomic_merchant"

PAGE: Final = 100
"""The most objects that Stripe lists at once."""

CARD_TOKEN: Final = "tok_"  # noqa: S105  what the id of a card token begins with


def build_key(claim: Claim) -> stripe.RequestOptions:
    """The same for each repetition of a request: Stripe then returns the first answer again."""
    return {"idempotency_key": f"{claim.id}:{claim.step}:{claim.key_generation}"}


@dataclass(frozen=True, slots=True)
class StripeRequests:
    client: stripe.StripeClient
    return_url: str = ""
    """Where a customer's browser goes after an authentication."""

    def create_intent(self, claim: Claim, amount: int) -> stripe.PaymentIntent:
        """Create and confirm in one request. `amount` is in Stripe's minor units."""
        params: dict[str, Any] = {
            "amount": amount,
            "currency": claim.currency.lower(),
            "capture_method": "manual" if claim.step == Step.AUTHORIZE else "automatic",
            "confirm": True,
            "payment_method_types": ["card"],
            "metadata": {PAYMENT: str(claim.payment_id), MERCHANT: str(claim.merchant_id)},
        }
        if self.return_url:
            params["return_url"] = self.return_url
        if claim.source.startswith(CARD_TOKEN):
            params["payment_method_data"] = {"type": "card", "card": {"token": claim.source}}
        else:
            params["payment_method"] = claim.source
        return self.client.v1.payment_intents.create(params, build_key(claim))  # pyright: ignore[reportArgumentType]

    def capture_intent(self, claim: Claim, reference: str, amount: int) -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.capture(
            reference, {"amount_to_capture": amount}, build_key(claim)
        )

    def cancel_intent(self, claim: Claim, reference: str) -> stripe.PaymentIntent:
        key = f"{claim.id}:{claim.step}:{claim.key_generation}:cancel"
        return self.client.v1.payment_intents.cancel(reference, {}, {"idempotency_key": key})

    def refund_all(self, claim: Claim, reference: str) -> stripe.Refund:
        """Refund what is captured and not refunded yet, as Stripe does without an amount."""
        return self.client.v1.refunds.create(
            {"payment_intent": reference, "metadata": {PAYMENT: str(claim.payment_id)}},
            build_key(claim),
        )

    def create_refund(self, claim: Claim, reference: str, amount: int) -> stripe.Refund:
        return self.client.v1.refunds.create(
            {
                "payment_intent": reference,
                "amount": amount,
                "metadata": {PAYMENT: str(claim.payment_id), REFUND: str(claim.id)},
            },
            build_key(claim),
        )

    def retrieve_intent(self, reference: str) -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.retrieve(reference, {"expand": ["latest_charge"]})

    def find_intents(self, claim: Claim) -> Sequence[stripe.PaymentIntent]:
        """The payment's PaymentIntents: by reference, else by metadata. The search may be up to an
        hour behind."""
        if claim.network_reference:
            return [self.retrieve_intent(claim.network_reference)]
        return search_intents(self.client, claim.payment_id)

    def retrieve_refund(self, reference: str) -> stripe.Refund:
        return self.client.v1.refunds.retrieve(reference)

    def find_refund(self, claim: Claim, reference: str) -> stripe.Refund | None:
        """The claim's refund among those of its PaymentIntent."""
        refunds = self.client.v1.refunds.list({"payment_intent": reference, "limit": PAGE})
        for refund in refunds.auto_paging_iter():
            if read_text(refund, "metadata", REFUND) == str(claim.id):
                return refund
        return None


def search_intents(client: stripe.StripeClient, payment_id: UUID) -> Sequence[stripe.PaymentIntent]:
    query = f"metadata['{PAYMENT}']:'{payment_id}'"
    return list(client.v1.payment_intents.search({"query": query, "limit": PAGE}).data)


def find_intents_of(
    client: stripe.StripeClient, payment_id: UUID, reference: str | None
) -> Sequence[stripe.PaymentIntent]:
    """All PaymentIntents of a payment: those that the search finds, and the one that it may not
    find yet."""
    found = {intent.id: intent for intent in search_intents(client, payment_id)}
    if reference is not None and reference not in found:
        with suppress(stripe.InvalidRequestError):
            # Refused: Stripe has no such PaymentIntent.
            found[reference] = client.v1.payment_intents.retrieve(reference)
    return list(found.values())
