"""`make faults`: Atomic is broken on purpose, under load, and must not mind.

Servers of its own and the real processes; every answer that a client got is remembered and held
against the books at the end. `python tests/fault --help` says what can be asked for.
"""
