"""Delivers webhooks apart from settlement, which slow receivers must not delay."""
