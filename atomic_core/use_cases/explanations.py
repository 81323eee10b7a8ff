"""Why the balance of an account differs between two moments."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from atomic_core.domain.balances import MILLISECOND, BalanceQuery, TimeAxis
from atomic_core.domain.explanations import Explanation, check_entry_count, check_moments
from atomic_core.domain.lists import Page
from atomic_core.ports.unit_of_work import UnitOfWorkFactory
from atomic_core.use_cases.balances import get_account


@dataclass(frozen=True, slots=True)
class ExplainBalance:
    """The entries of a merchant's account that were posted from one moment and before another,
    newest first, and their sums by kind on the first page. Without moments: all of them until now.

    Raises NotFound, and ValidationFailed for too many entries.
    """

    begin: UnitOfWorkFactory

    def __call__(
        self,
        merchant_id: UUID,
        account_id: UUID,
        begin: datetime | None,
        end: datetime | None,
        after: int | None,
        limit: int,
    ) -> Explanation:
        with self.begin() as work:
            account = get_account(work, merchant_id, account_id)
            last = end or work.now() + MILLISECOND
            first = begin or min(account.created_at, last)
            check_moments(first, last)
            queries = [BalanceQuery(account_id, moment) for moment in (first, last)]
            opening, closing = work.balances.list_before(queries, TimeAxis.POSTED)
            check_entry_count(closing.sequence - opening.sequence)
            kinds = (
                work.balances.sum_by_kind(account_id, opening.sequence, closing.sequence)
                if after is None
                else None
            )
            top = closing.sequence if after is None else min(after - 1, closing.sequence)
            entries = work.balances.list_explained(account_id, opening.sequence, top, limit + 1)
        page = Page(entries[:limit], has_more=len(entries) > limit)
        return Explanation(account, opening, closing, kinds, page)
