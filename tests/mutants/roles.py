"""Mutants of the database roles: their privileges, and the check of the application's role."""

from typing import Final

from mutants.mutant import Edit, Mutant

PRIVILEGES_TEST: Final = "tests/integration/test_privileges.py"
ATTACKS_TEST: Final = "tests/integration/test_role_privileges.py"
GRANTS_TEST: Final = "tests/integration/test_grants.py"
CHECK_TEST: Final = "tests/integration/test_role_check.py"
COMPOSE_TEST: Final = "tests/integration/test_compose_roles.py"
DEV_TEST: Final = "tests/e2e/test_dev.py"

PRIVILEGES_PY: Final = "atomic_adapters/postgres/privileges.py"
GRANTS_PY: Final = "atomic_adapters/postgres/grants.py"
MIGRATIONS_PY: Final = "atomic_adapters/postgres/migrations.py"
CONNECTIONS_PY: Final = "atomic_adapters/postgres/connections.py"
ROLE_CHECK_PY: Final = "atomic_adapters/postgres/role_check.py"
ROLE_CHECK_SQL: Final = "atomic_adapters/postgres/role_check.sql"
SETTINGS_PY: Final = "atomic_adapters/settings.py"
RUNNER_PY: Final = "atomic_worker/dev/runner.py"


def _mutant(name: str, guarantee: str, path: str, old: str, new: str, *likely_tests: str) -> Mutant:
    return Mutant(name, guarantee, (Edit(path, old, new),), likely_tests)


ROLE_MUTANTS: Final = (
    _mutant(
        "production-accepts-privileged-role",
        "production refuses a superuser and the owner of the tables unless a setting allows it",
        SETTINGS_PY,
        "        return self.is_production and not self.allow_privileged_role\n",
        "        return self.is_production and not self.environment\n",
        CHECK_TEST,
    ),
    _mutant(
        "start-does-not-refuse-privileged-role",
        "a process of production does not start as a privileged role",
        ROLE_CHECK_PY,
        "    if settings.refuses_privileged_role:\n",
        "    if settings.refuses_privileged_role and not role.name:\n",
        CHECK_TEST,
    ),
    _mutant(
        "sweep-once-as-privileged-role",
        "every command that settles checks the role",
        "atomic_worker/cli.py",
        "        if warning := check_database_role(settings):\n",
        "        if warning := cli.settings.environment * 0:\n",
        CHECK_TEST,
    ),
    _mutant(
        "connection-as-privileged-role",
        "production refuses each connection of a privileged role",
        CONNECTIONS_PY,
        "        if self._refuses_privileged_role:\n",
        "        if self._refuses_privileged_role and not self._url:\n",
        CHECK_TEST,
    ),
    _mutant(
        "privileged-role-not-logged",
        "a start as a privileged role is logged with the name of the role",
        "atomic_worker/commands/console.py",
        "(*settings.start_notices, *filter(None, [warning]))",
        "settings.start_notices",
        CHECK_TEST,
    ),
    _mutant(
        "role-behind-set-role-not-checked",
        "a role that can become the owner by SET ROLE is privileged too",
        ROLE_CHECK_SQL,
        "pg_has_role(session_user, oid, 'MEMBER')",
        "pg_has_role(session_user, oid, 'USAGE')",
        CHECK_TEST,
    ),
    _mutant(
        "reset-role-not-checked",
        "a superuser that has set a role is a superuser",
        ROLE_CHECK_SQL,
        "pg_has_role(session_user, oid, 'MEMBER')",
        "pg_has_role(current_user, oid, 'MEMBER')",
        CHECK_TEST,
    ),
    _mutant(
        "update-granted-on-entries",
        "the application cannot change an entry",
        PRIVILEGES_PY,
        '        insert="account_id sequence transaction_id amount balance_after hash"\n',
        '        insert="account_id sequence transaction_id amount balance_after hash",\n'
        '        update="amount",\n',
        ATTACKS_TEST,
        PRIVILEGES_TEST,
    ),
    _mutant(
        "unused-update-granted-on-payments",
        "the application has no privilege that its statements do not use",
        PRIVILEGES_PY,
        '        " next_action_type next_action_url",\n',
        '        " next_action_type next_action_url description",\n',
        PRIVILEGES_TEST,
    ),
    _mutant(
        "readonly-role-reads-hashes",
        "the read-only role reads no hashes",
        GRANTS_PY,
        "        hidden = privileges.hidden.split()\n",
        "        hidden = list[str]()\n",
        ATTACKS_TEST,
        PRIVILEGES_TEST,
    ),
    _mutant(
        "grants-are-only-added",
        "grant takes back what is not declared",
        GRANTS_PY,
        '            yield SQL("REVOKE ALL ON {} FROM {}").format(Identifier(table),'
        " Identifier(role))\n",
        "",
        GRANTS_TEST,
    ),
    _mutant(
        "temporary-tables-allowed",
        "the application cannot create temporary tables",
        GRANTS_PY,
        '    yield SQL("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC").format(**names)\n',
        "",
        ATTACKS_TEST,
        GRANTS_TEST,
    ),
    _mutant(
        "functions-executable-by-public",
        "no function of Atomic can be called, or made a trigger, by every role",
        GRANTS_PY,
        '        yield SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(function)\n',
        "",
        PRIVILEGES_TEST,
    ),
    _mutant(
        "migration-grants-nothing",
        "after a migration the application has the privileges that the schema requires",
        MIGRATIONS_PY,
        "            self._renew_grants(backend)\n            return [",
        "            return [",
        GRANTS_TEST,
        PRIVILEGES_TEST,
    ),
    _mutant(
        "owner-loses-privileges",
        "a migration does not take privileges from a role that owns tables",
        GRANTS_PY,
        '{"role": role}).fetchone() == (False,)\n',
        '{"role": role}).fetchone() is not None\n',
        GRANTS_TEST,
    ),
    _mutant(
        "superuser-migrates-as-itself",
        "what a superuser's migration adds belongs to the owner of the tables",
        MIGRATIONS_PY,
        "            connection.execute(_BECOME_OWNER)\n",
        "",
        GRANTS_TEST,
    ),
    _mutant(
        "dev-connects-as-superuser",
        "make run connects as the application's role",
        RUNNER_PY,
        '        self.environ["DATABASE_URL"] = server.url(DATABASE, APP_ROLE)\n',
        '        self.environ["DATABASE_URL"] = server.url(DATABASE)\n',
        DEV_TEST,
    ),
    _mutant(
        "compose-logs-passwords",
        "no password of a role of compose.yaml is in the log of PostgreSQL",
        "deploy/roles.sql",
        "SET LOCAL log_statement = 'none';\n",
        "",
        COMPOSE_TEST,
    ),
    _mutant(
        "compose-owner-creates-roles",
        "the owner of the tables has no powers but its tables",
        "deploy/roles.sql",
        "NOSUPERUSER NOCREATEROLE",
        "NOSUPERUSER CREATEROLE",
        COMPOSE_TEST,
    ),
    _mutant(
        "compose-superuser-keeps-functions",
        "a volume of an earlier version belongs to the owner, also its functions",
        "deploy/roles.sql",
        "   AND pg_proc.proowner <> 'atomic_owner'::regrole\n",
        "   AND pg_proc.proowner = 'atomic_owner'::regrole\n",
        COMPOSE_TEST,
    ),
    _mutant(
        "compose-migrates-as-superuser",
        "only one service of compose.yaml connects as the superuser",
        "compose.yaml",
        "      PGUSER: atomic_owner\n",
        "      PGUSER: atomic\n",
        COMPOSE_TEST,
    ),
)
