"""Examples of balances as of a moment, as in `examples.py`."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from atomic_core.domain.balances import (
    AccountBalance,
    BalanceBefore,
    BalanceHistory,
    DayBalance,
    TimeAxis,
    TrialBalance,
    TrialBalanceRow,
    begin_day,
    end_day,
)
from atomic_core.domain.explanations import ExplainedEntry, Explanation, KindSum
from atomic_core.domain.lists import Page
from atomic_web.openapi.examples import ACCOUNT, ENTRY

_DAY: Final = ACCOUNT.created_at.date()

BALANCE: Final = AccountBalance(
    account=ACCOUNT,
    axis=TimeAxis.POSTED,
    at=ACCOUNT.created_at + timedelta(hours=1),
    balance=5_000,
    sequence=1,
    pending=ACCOUNT.pending,
    available=5_000 - ACCOUNT.pending_out,
)
PAST_BALANCE: Final = replace(
    BALANCE,
    axis=TimeAxis.EFFECTIVE,
    at=end_day(_DAY) - timedelta(milliseconds=1),
    sequence=None,
    pending=None,
    available=None,
)
EXPLANATION: Final = Explanation(
    account=ACCOUNT,
    opening=BalanceBefore(ACCOUNT.id, begin_day(_DAY), 0, 0),
    closing=BalanceBefore(ACCOUNT.id, end_day(_DAY), 1, ENTRY.balance_after),
    kinds=[KindSum(ENTRY.kind, 1, 0, ENTRY.amount)],
    page=Page(
        [ExplainedEntry(*ENTRY, effective_at=ENTRY.posted_at, request_id="order-4711")],
        has_more=False,
    ),
)
HISTORY: Final = BalanceHistory(
    account=ACCOUNT,
    axis=TimeAxis.POSTED,
    opening_balance=0,
    days=[
        DayBalance(_DAY, 5_000, 5_000),
        DayBalance(_DAY + timedelta(days=1), 3_500, -1_500),
    ],
)
TRIAL_BALANCE: Final = TrialBalance(
    axis=TimeAxis.EFFECTIVE,
    at=end_day(_DAY) - timedelta(milliseconds=1),
    rows=[
        TrialBalanceRow("asset", "USD", 1, 5_000, 0),
        TrialBalanceRow("liability", "USD", 2, 0, 5_000),
    ],
)
