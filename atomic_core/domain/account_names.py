"""Trees of accounts: names in segments, such as `wallets:alice`, and the balances of a subtree."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from atomic_core.domain.accounts import PendingAmounts

SEPARATOR: Final = ":"

_AFTER_SEPARATOR: Final = chr(ord(SEPARATOR) + 1)
"""Names that begin with `wallets:` sort before `wallets;`, by code points."""


class NameRange(NamedTuple):
    """The names of a subtree: `name`, and those from `first` on and before `end`, by code
    points."""

    name: str
    first: str
    end: str

    def includes(self, name: str) -> bool:
        return name == self.name or self.first <= name < self.end


def get_subtree(prefix: str) -> NameRange:
    """`wallets` is the account of this name and all below it, `wallets:` only those below it."""
    root = prefix.removesuffix(SEPARATOR)
    return NameRange(prefix, root + SEPARATOR, root + _AFTER_SEPARATOR)


class SubtreeBalance(NamedTuple):
    """The sums of the accounts of one currency in a subtree, in minor units."""

    currency: str
    accounts: int
    balance: int
    pending_in: int
    pending_out: int

    @property
    def pending(self) -> PendingAmounts:
        return PendingAmounts(self.pending_in, self.pending_out)

    @property
    def available(self) -> int:
        return self.balance - self.pending_out


class SubtreeBalances(NamedTuple):
    prefix: str | None
    """None: all accounts."""
    items: Sequence[SubtreeBalance]
    """By currency."""
