"""The sandbox's test tokens, and the one that a mistyped token means."""

import re
from functools import lru_cache
from typing import Final

from atomic_adapters.networks.sandbox import (
    AUTHORIZATION_RESPONSES,
    CAPTURE_RESPONSES,
    REFUND_RESPONSES,
    STATE_RESPONSES,
    VOID_RESPONSES,
)

TEST_TOKENS: Final = frozenset(
    {
        *("tok_visa", "tok_mastercard"),
        *AUTHORIZATION_RESPONSES,
        *CAPTURE_RESPONSES,
        *VOID_RESPONSES,
        *REFUND_RESPONSES,
        *STATE_RESPONSES,
    }
)

MAX_CHANGED_LETTERS: Final = 2
LETTERS_PER_CHANGE: Final = 4
"""In a name of four letters one other letter is a typing error, and two are another name."""

_PREFIX: Final = "tok_"
_LETTERS: Final = re.compile(r"tok_[A-Za-z]+")


@lru_cache(maxsize=4_096)
def find_meant_token(source: str) -> str | None:
    """The test token that `source` is a mistyped form of: it differs in case or in up to two
    letters. None if it is a test token, or like none. A token with a digit or a further underscore
    is like none: callers number their tokens."""
    if source in TEST_TOKENS or not _LETTERS.fullmatch(source):
        return None
    folded = source.casefold()
    distance, token = min(
        (_count_changes(folded, token.casefold()), token) for token in sorted(TEST_TOKENS)
    )
    allowed = min(MAX_CHANGED_LETTERS, (len(token) - len(_PREFIX)) // LETTERS_PER_CHANGE)
    return token if distance <= allowed else None


def _count_changes(first: str, second: str) -> int:
    """How many letters must be added, left out or replaced, or neighbours exchanged, to make one of
    the other; MAX_CHANGED_LETTERS + 1 if that many are certain from the lengths."""
    if abs(len(first) - len(second)) > MAX_CHANGED_LETTERS:
        return MAX_CHANGED_LETTERS + 1
    before_previous: list[int] = []
    previous = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            cost = min(
                previous[column] + 1,
                current[column - 1] + 1,
                previous[column - 1] + (letter != other),
            )
            is_exchange = (
                row > 1 and column > 1 and letter == second[column - 2] and other == first[row - 2]
            )
            if is_exchange:
                cost = min(cost, before_previous[column - 2] + 1)
            current.append(cost)
        before_previous, previous = previous, current
    return previous[-1]
