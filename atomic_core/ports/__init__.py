"""What the core needs from outside, as Protocols. tests/contract checks every implementation."""
