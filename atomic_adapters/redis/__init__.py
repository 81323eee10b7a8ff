"""Redis or Valkey adapters: rate limiter, worker wake-ups, health check."""
