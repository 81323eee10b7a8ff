"""Examples of ledger periods, as in `examples.py`."""

from datetime import date, timedelta
from typing import Final
from uuid import UUID

from atomic_core.domain.periods import ClosingBalance, Period, build_period
from atomic_web.openapi.examples import ACCOUNT

_END: Final = date(2026, 10, 31)
_MERCHANT: Final = UUID("0199c0de-0000-7000-8000-00000000000a")

CLOSING_BALANCE: Final = ClosingBalance(1, ACCOUNT.id, "USD", 5_000)
_FIRST: Final = build_period(
    UUID("0199c0de-0000-7000-8000-000000000015"),
    _MERCHANT,
    date(2026, 9, 30),
    None,
    [ClosingBalance(1, ACCOUNT.id, "USD", 0)],
    ACCOUNT.created_at - timedelta(days=30),
)
PERIOD: Final[Period] = build_period(
    UUID("0199c0de-0000-7000-8000-000000000016"),
    _MERCHANT,
    _END,
    _FIRST,
    [CLOSING_BALANCE],
    ACCOUNT.created_at,
)
