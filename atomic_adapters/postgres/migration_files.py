"""The migrations that this version of the code includes."""

from functools import cache
from pathlib import Path
from typing import Final

MIGRATIONS_FOLDER: Final = Path(__file__).parent.parent.parent / "migrations"

_ROLLBACK: Final = ".rollback"


@cache
def get_migration_ids() -> list[str]:
    """The ids of all migrations, in order."""
    stems = (path.stem for path in MIGRATIONS_FOLDER.glob("*.sql"))
    return sorted(stem for stem in stems if not stem.endswith(_ROLLBACK))
