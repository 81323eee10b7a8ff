"""Stripe: payments as PaymentIntents, with Stripe's own client."""

from atomic_adapters.networks.stripe.card_network import StripeCardNetwork

__all__ = ["StripeCardNetwork"]
