"""The store in memory: for tests of payment and ledger rules, with the guarantees of the real one.

One unit of work at a time locks the whole store, from its first use to its end. Leaving without
commit undoes every write. What PostgreSQL's constraints refuse is refused here too, with the
constraint's name.
"""

from atomic_adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]
