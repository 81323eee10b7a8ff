"""Use cases. Each is a frozen dataclass whose fields are its dependencies."""
