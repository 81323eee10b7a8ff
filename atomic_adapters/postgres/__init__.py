"""The store in PostgreSQL: hand-written SQL in `.sql` files, one repository beside each."""

from atomic_adapters.postgres.unit_of_work import PostgresStore

__all__ = ["PostgresStore"]
