"""What Atomic does. Each use case is a frozen dataclass whose fields are all it depends on."""
