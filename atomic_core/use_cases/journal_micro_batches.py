"""Posting the transactions of concurrent requests together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from atomic_core.domain.errors import AtomicError, StorageUnavailable
from atomic_core.domain.idempotency import IdempotentRequest, StoredResponse
from atomic_core.domain.journal import JournalTransaction, NewJournalTransaction
from atomic_core.ports.call_batching import BatchCalls
from atomic_core.ports.unit_of_work import UnitOfWork
from atomic_core.use_cases.idempotency import IdempotentResult, PerformOnce
from atomic_core.use_cases.journal import PostTransaction
from atomic_core.use_cases.journal_sets import prepare_transactions, save_transactions

RenderTransaction = Callable[[JournalTransaction], StoredResponse]
"""Renders the response. Called in the thread of another request perhaps."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    new_transaction: NewJournalTransaction
    request: IdempotentRequest | None
    render: RenderTransaction


_Outcome = IdempotentResult | AtomicError | None
"""None: the caller posts its transaction alone."""


@dataclass(frozen=True, slots=True)
class PostTransactionOnce:
    """Post a transaction for an API caller, once per Idempotency-Key.

    Transactions of a merchant that arrive while one of its transactions is posted are then posted
    together, in the order of their arrival and in one commit. Each is posted or refused as if it
    was posted alone after those before it. What cannot be posted together (a key or an external id
    that is used twice), or a commit that the database refuses, is posted alone, which raises the
    specific error. Raises what PostTransaction and PerformOnce raise.
    """

    post: PostTransaction
    perform_once: PerformOnce
    batch_calls: BatchCalls
    _execute: Callable[..., _Outcome] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_execute", self.batch_calls(self._post))

    def __call__(
        self,
        new_transaction: NewJournalTransaction,
        request: IdempotentRequest | None,
        render: RenderTransaction,
    ) -> IdempotentResult:
        call = _Call(new_transaction, request, render)
        outcome = self._execute(new_transaction.merchant_id, call)
        if outcome is None:
            return self._post_alone(call)
        if isinstance(outcome, AtomicError):
            raise outcome
        return outcome

    def _post(self, calls: Sequence[_Call]) -> Sequence[_Outcome]:
        if len(calls) > 1:
            return self._post_together(calls)
        # Here and not by the caller itself: the calls that arrive meanwhile are then together.
        [call] = calls
        try:
            return [self._post_alone(call)]
        except AtomicError as error:
            return [error]

    def _post_alone(self, call: _Call) -> IdempotentResult:
        if call.request is None:
            return IdempotentResult(call.render(self.post(call.new_transaction)), replayed=False)
        return self.perform_once(call.request, self.post, call.new_transaction, call.render)

    def _post_together(self, calls: Sequence[_Call]) -> Sequence[_Outcome]:
        """If nothing was committed, all are posted alone: one of them must not refuse the
        others."""
        alone: Sequence[_Outcome] = [None] * len(calls)
        has_begun = is_committing = False
        try:
            with self.post.begin() as work:
                has_begun = True
                outcomes = self._write(work, calls)
                if any(isinstance(outcome, IdempotentResult) for outcome in outcomes.values()):
                    is_committing = True
                    work.commit()
        except StorageUnavailable:
            if is_committing or not has_begun:
                raise
            return alone
        except AtomicError:
            return alone
        return [outcomes.get(call) for call in calls]

    def _write(self, work: UnitOfWork, calls: Sequence[_Call]) -> dict[_Call, _Outcome]:
        merchant_id = calls[0].new_transaction.merchant_id
        joined = _drop_repeated(calls)
        requests = [call.request for call in joined if call.request]
        claimed = work.idempotency.claim_keys(requests) if requests else frozenset[str]()
        joined = [call for call in joined if not call.request or call.request.key in claimed]
        ids = self.post.ids.new_ids(len(joined))
        calls_by_id = dict(zip(ids, joined, strict=True))
        new_transactions = {id: call.new_transaction for id, call in calls_by_id.items()}
        prepared = prepare_transactions(work, merchant_id, new_transactions)
        saved = save_transactions(work, new_transactions, prepared)
        responses = {
            calls_by_id[id]: calls_by_id[id].render(transaction)
            for id, transaction in saved.accepted.items()
        }
        answered = [
            (call.request, response) for call, response in responses.items() if call.request
        ]
        if answered:
            work.idempotency.store_responses(answered)
        refused = [
            request.key for id in saved.errors if (request := calls_by_id[id].request) is not None
        ]
        if refused:
            work.idempotency.release_keys(merchant_id, refused)
        outcomes: dict[_Call, _Outcome] = {
            calls_by_id[id]: error for id, error in saved.errors.items()
        }
        for call, response in responses.items():
            outcomes[call] = IdempotentResult(response, replayed=False)
        return outcomes


def _drop_repeated(calls: Sequence[_Call]) -> list[_Call]:
    """The first call of each Idempotency-Key and of each external id."""
    keys: set[str] = set()
    external_ids: set[str] = set()
    kept: list[_Call] = []
    for call in calls:
        key = call.request.key if call.request else None
        external_id = call.new_transaction.external_id
        if key in keys or external_id in external_ids:
            continue
        if key is not None:
            keys.add(key)
        if external_id is not None:
            external_ids.add(external_id)
        kept.append(call)
    return kept
