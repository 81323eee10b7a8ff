"""What guards a view: authentication, rate limiting, idempotency."""
