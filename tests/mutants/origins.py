"""Mutants of origins: who made what, from where, and by which request."""

from typing import Final

from mutants.mutant import Edit, Mutant

CONTRACT_TEST: Final = "tests/contract/test_origins.py"
WEB_TEST: Final = "tests/web/test_origins.py"
GUARDS_TEST: Final = "tests/integration/test_origin_guards.py"
CLI_TEST: Final = "tests/unit/test_cli_origins.py"

WEB_ORIGINS_PY: Final = "atomic_web/access/origins.py"


def _mutant(name: str, guarantee: str, path: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, guarantee, (Edit(path, old, new),), tests)


ORIGIN_MUTANTS: Final = (
    _mutant(
        "capture-without-actor",
        "a capture records its actor",
        "atomic_core/use_cases/holds.py",
        "            amount=amount,\n            origin=request.origin,\n",
        "            amount=amount,\n",
        CONTRACT_TEST,
    ),
    _mutant(
        "operator-retry-without-event",
        "an operator's retry is in the timeline",
        "atomic_core/use_cases/admin_queries.py",
        "            work.events.add([_build_retry_event(",
        "            ([_build_retry_event(",
        CONTRACT_TEST,
    ),
    _mutant(
        "client-chooses-server-request-id",
        "no client can choose the recorded request id of the server",
        "atomic_web/middleware.py",
        "        server_request_id = generate_request_id()\n",
        "        from uuid import UUID\n"
        "        chosen = read_client_request_id(environ)\n"
        "        is_uuid = chosen is not None and len(chosen) == 36\n"
        "        server_request_id = UUID(chosen) if is_uuid else generate_request_id()\n",
        WEB_TEST,
    ),
    _mutant(
        "key-recorded-as-anonymous",
        "what an API key does is recorded with its id",
        WEB_ORIGINS_PY,
        "    if context.caller:\n        actor, actor_id = ActorType.KEY, context.caller.key_id\n",
        "    if False:\n        pass\n",
        WEB_TEST,
    ),
    _mutant(
        "actors-of-a-batch-mixed",
        "payments of one statement keep their own actors",
        "atomic_adapters/postgres/origins.py",
        "uuid_array([origin and origin.actor_id for origin in origins])",
        "uuid_array([origin and origins[0].actor_id for origin in origins])",
        CONTRACT_TEST,
    ),
    _mutant(
        "address-in-timeline",
        "the API shows no client address outside the audit log",
        "atomic_web/schemas/origins.py",
        '    type = fields.String(attribute="actor",',
        '    address = fields.String(attribute="address", allow_none=True)\n'
        '    type = fields.String(attribute="actor",',
        WEB_TEST,
    ),
    _mutant(
        "origin-mutable",
        "the origin of a payment is final",
        "migrations/0016.origins.sql",
        "    BEFORE UPDATE OF actor, actor_id, client_address, server_request_id, operator"
        " ON payments\n",
        "    BEFORE UPDATE OF actor ON payments\n",
        GUARDS_TEST,
    ),
    _mutant(
        "key-revoked-by-no-one",
        "an operator who revokes a key is named",
        "atomic_worker/commands/keys.py",
        "revoke(key_id, origin=origin)",
        "revoke(key_id)",
        CLI_TEST,
    ),
)
