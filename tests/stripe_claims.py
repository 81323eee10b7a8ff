"""Claims of payments at Stripe, and the adapter that is called for them."""

from datetime import timedelta
from uuid import UUID

from atomic_adapters.network_settings import StripeSettings
from atomic_adapters.networks.stripe import StripeCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.payments import Step
from atomic_core.domain.settlement import Claim
from stripe_rules import (
    SECRET_KEY,
    RecordingProxy,
)
from support import IDS


def build_network(
    url: str,
    key: str = SECRET_KEY,
    seconds: float = 20,
    concurrency: int = 8,
    return_url: str = "",
) -> StripeCardNetwork:
    settings = StripeSettings(key, url, concurrency, return_url=return_url)
    return StripeCardNetwork(settings, timedelta(seconds=seconds))


def build_claim(
    step: Step = Step.CHARGE, amount: int = 5_000, source: str = "pm_card_visa"
) -> Claim:
    id = IDS.new_id()
    return Claim(id, 1, 0, IDS.new_id(), IDS.new_id(), amount, "USD", source, step)


def next_step(claim: Claim, step: Step, response: NetworkResponse) -> Claim:
    assert response.verdict in (Verdict.APPROVED, Verdict.REQUIRES_ACTION)
    assert response.reference
    return claim._replace(step=step, network_reference=response.reference)


def build_refund(claim: Claim, response: NetworkResponse, amount: int) -> Claim:
    refund = next_step(claim, Step.REFUND, response)
    return refund._replace(amount=amount, refund_id=IDS.new_id())


def get_intent(proxy: RecordingProxy, payment_id: UUID) -> dict:
    [intent] = [
        intent
        for intent in proxy.list_all("payment_intents")
        if intent["metadata"].get("atomic_payment") == str(payment_id)
    ]
    return intent
