"""What the core needs from outside, as Protocols. Adapters fulfil them; contract tests judge."""
