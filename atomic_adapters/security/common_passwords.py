"""The 10,000 most common passwords that are long enough to be chosen.

`common_passwords.txt.gz` has the first 10,000 passwords of at least 8 characters in the frequency
list of zxcvbn 4.5.0 (MIT, see `common_passwords.LICENSE`): shorter ones are refused anyway.
"""

import gzip
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("common_passwords.txt.gz")


class CommonPasswords:
    """A `PasswordBlocklist` port. The list takes about a megabyte, once per process, when it is
    first needed."""

    def contains(self, password: str) -> bool:
        return password.strip().lower() in _load_passwords()


@cache
def _load_passwords() -> frozenset[str]:
    with gzip.open(_FILE, "rt", encoding="ascii") as lines:
        return frozenset(line.rstrip("\n") for line in lines)
