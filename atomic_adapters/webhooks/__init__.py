"""Webhooks: signing, sending, and the encryption of signing secrets."""
