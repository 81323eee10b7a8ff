"""Mutants of what Atomic does behind a pooler in transaction mode."""

from typing import Final

from mutants.mutant import Edit, Mutant

POOLER_TEST: Final = "tests/integration/test_pooler.py"
CONNECTIONS_TEST: Final = "tests/integration/test_connections.py"
CONNECTIONS_PY: Final = "atomic_adapters/postgres/connections.py"
SETTINGS_PY: Final = "atomic_adapters/postgres/session_settings.py"
CHECK_PY: Final = "atomic_adapters/postgres/pooler_check.py"


def _mutant(name: str, guarantee: str, path: str, old: str, new: str, *likely_tests: str) -> Mutant:
    return Mutant(name, guarantee, (Edit(path, old, new),), likely_tests)


POOLER_MUTANTS: Final = (
    _mutant(
        "statements-prepared-behind-a-pooler",
        "behind a pooler in transaction mode nothing is prepared",
        CONNECTIONS_PY,
        "None if self._has_transaction_pooler else 1",
        "1",
        POOLER_TEST,
    ),
    _mutant(
        "settings-left-to-other-clients-of-a-pooler",
        "behind a pooler, settings end with their transaction",
        SETTINGS_PY,
        "sql.Literal(is_local)",
        "sql.Literal(False)",
        POOLER_TEST,
    ),
    _mutant(
        "statement-alone-not-committed-behind-a-pooler",
        "behind a pooler, a statement of its own is committed",
        CONNECTIONS_PY,
        '                    connection.execute(b"COMMIT")\n',
        '                    connection.execute(b"ROLLBACK")\n',
        POOLER_TEST,
    ),
    _mutant(
        "worker-locks-a-session-of-a-pooler",
        "no worker leaves its lock in a session of a pooler",
        CONNECTIONS_PY,
        "            refuse_shared_session(connection, connect)\n",
        "",
        POOLER_TEST,
    ),
    _mutant(
        "names-of-prepared-statements-repeat",
        "no connection executes what another one has prepared",
        CONNECTIONS_PY,
        "secrets.randbits(STATEMENT_NAME_BITS)",
        "secrets.randbits(STATEMENT_NAME_BITS) * 0",
        CONNECTIONS_TEST,
    ),
    _mutant(
        "begin-not-prepared",
        "a transaction does not begin in another session than that of its prepared statements",
        CONNECTIONS_PY,
        'connection.execute(b"BEGIN", prepare=True)',
        'connection.execute(b"BEGIN", prepare=False)',
        CONNECTIONS_TEST,
    ),
    _mutant(
        "session-pooler-taken-for-a-transaction-pooler",
        "a pooler in session mode is no obstacle",
        CHECK_PY,
        "                if is_taken or has_changed:\n",
        "                if is_taken or has_changed or backend:\n",
        POOLER_TEST,
    ),
)
