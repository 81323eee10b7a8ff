"""The store in memory: for tests of payment and ledger rules, with the manners of the real one.

One unit of work at a time holds the whole store, from its first use to its end: serial, so as
strict as locking can be. Leaving without commit undoes every write; what PostgreSQL's
constraints refuse is refused here too.
"""

from atomic_adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]
