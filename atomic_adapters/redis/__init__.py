"""Adapters that talk to Redis or Valkey: rate limiter, wake-ups of the worker, health."""
