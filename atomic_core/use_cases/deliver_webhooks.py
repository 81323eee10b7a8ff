"""Delivery: claims endpoints that have something to send, sends it, and records what came of it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from atomic_core.domain.audit_log import AuditEventType
from atomic_core.domain.errors import AtomicError
from atomic_core.domain.events import Event, EventFilter, EventType, StreamEvent
from atomic_core.domain.origins import ActorType, Origin
from atomic_core.domain.webhook_rounds import Round, RoundItem
from atomic_core.domain.webhooks import (
    EVENT_WINDOW,
    MAX_ROUND_EVENTS,
    DisabledReason,
    EndpointChange,
    EndpointClaim,
    EndpointStatus,
    RoundRecord,
    WebhookRequest,
    WebhookResult,
    describe_endpoint,
    expand_event_types,
)
from atomic_core.ports.id_generator import IdGenerator
from atomic_core.ports.secret_cipher import SecretCipher, SecretUnreadable
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.ports.webhook_sender import WebhookSender
from atomic_core.ports.worker_liveness import WorkerLiveness
from atomic_core.use_cases.round_sending import RoundSending
from atomic_core.use_cases.stream_windows import StreamWindows
from atomic_core.use_cases.webhook_endpoints import audit_endpoint

MAX_SECONDS: Final = 60.0
"""No further endpoint is claimed after this time: a job has 180 s."""

MAX_ROUND_SECONDS: Final = 10.0
"""No further delivery of a round begins after this time."""

RECORD_SECONDS: Final = 10.0
"""That recording a round may take, with its tries, before its claim ends."""

MAX_ROUNDS: Final = 16
"""Endpoints that a process sends to at once. Each holds a database connection for moments only."""

MAX_STREAMS: Final = 1_000
"""Streams that one transaction plans. It holds up their merchants' settlement for milliseconds."""

POLL_SECONDS: Final = 0.1
"""While deliveries are in flight, newly due endpoints are looked for at this interval."""

MAX_TRIES: Final = 3
"""Of recording a round when the store fails transiently. What is not recorded is sent again."""

NO_DELAY: Final = timedelta(0)

ATOMIC: Final = Origin(ActorType.OPERATOR, operator="Atomic")
"""Of what it does by itself to an endpoint."""


@dataclass(frozen=True, slots=True)
class DeliverWebhooks:
    """Send what is due, until nothing is. Any number of processes may do so at once.

    An event is sent at least once: if a process dies between sending and recording, its claims end
    with it, and another sends the same events with the same ids. A slow or suspended process keeps
    its claims until their lease ends.
    """

    begin: UnitOfWorkFactory
    worker_liveness: WorkerLiveness
    """Of deliveries alone: its claims end when it is deregistered."""
    ids: IdGenerator
    sender: WebhookSender
    cipher: SecretCipher
    concurrency: int = 64
    """Deliveries in flight, of all endpoints."""
    timeout: timedelta = timedelta(seconds=10)
    """The longest that the sender takes."""
    windows: StreamWindows = field(default_factory=StreamWindows)

    @property
    def lease(self) -> timedelta:
        """Of a claimed endpoint: longer than the longest round with its last answer."""
        return timedelta(seconds=MAX_ROUND_SECONDS + RECORD_SECONDS) + self.timeout

    def __call__(
        self,
        overdue_by: timedelta = NO_DELAY,
        should_stop: Callable[[], bool] = lambda: False,
        on_round: Callable[[RoundRecord], None] = lambda _: None,
    ) -> int:
        """Returns how many deliveries were sent. Raises StorageUnavailable."""
        if not self.cipher.is_available:
            return 0
        deadline = time.monotonic() + MAX_SECONDS
        sent = 0
        running: set[Future[RoundRecord]] = set()
        claim_failures: list[AtomicError] = []
        round_failures: list[AtomicError] = []
        with (
            ThreadPoolExecutor(self.concurrency, "webhook") as senders,
            ThreadPoolExecutor(MAX_ROUNDS, "webhook-round") as rounds,
        ):
            while True:
                has_failed = claim_failures or round_failures
                if time.monotonic() < deadline and not should_stop() and not has_failed:
                    claims = self._claim(MAX_ROUNDS - len(running), overdue_by, claim_failures)
                    running |= {
                        rounds.submit(self._run_round, claim, senders, should_stop)
                        for claim in claims
                    }
                if not running:
                    break
                ended, running = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    try:
                        record = future.result()
                    except AtomicError as error:
                        round_failures.append(error)
                    else:
                        sent += len(record.outcomes)
                        on_round(record)
        if claim_failures:
            # Claims may be committed. Under a new worker id they are due at once. The rounds of
            # this process have ended.
            self.worker_liveness.deregister()
        if failures := claim_failures + round_failures:
            raise failures[0]
        return sent

    def _claim(
        self, limit: int, overdue_by: timedelta, failures: list[AtomicError]
    ) -> Sequence[EndpointClaim]:
        worker_id = self.worker_liveness.worker_id()
        try:
            with self.begin() as work:
                planned = work.webhook_deliveries.plan(MAX_STREAMS)
                if not planned:
                    # Nothing is locked.
                    return self._claim_due(work, limit, overdue_by, worker_id)
                work.commit()
            with self.begin() as work:
                return self._claim_due(work, limit, overdue_by, worker_id)
        except AtomicError as error:
            # Rounds that are running end first.
            failures.append(error)
            return []

    def _claim_due(
        self, work: UnitOfWork, limit: int, overdue_by: timedelta, worker_id: int | None
    ) -> Sequence[EndpointClaim]:
        if limit == 0:
            return []
        claims = work.webhook_deliveries.claim(limit, self.lease, overdue_by, worker_id)
        if claims:
            work.commit()
        return claims

    def _run_round(
        self, claim: EndpointClaim, senders: ThreadPoolExecutor, should_stop: Callable[[], bool]
    ) -> RoundRecord:
        started = time.monotonic()
        with self.begin() as work:
            round = _read_round(work, claim, self.windows)
        try:
            secrets = tuple(
                self.cipher.decrypt(secret) for secret in claim.secrets if secret is not None
            )
        except SecretUnreadable:
            secrets = ()

        def get_time() -> datetime:
            return claim.claimed_at + timedelta(seconds=time.monotonic() - started)

        RoundSending(
            round,
            senders,
            send=lambda item: self._send(item, secrets, get_time()),
            get_time=get_time,
            should_stop=lambda: time.monotonic() - started > MAX_ROUND_SECONDS or should_stop(),
        ).run()
        record = round.build_record(get_time())
        self._record(record)
        return record

    def _send(self, item: RoundItem, secrets: tuple[str, ...], at: datetime) -> WebhookResult:
        if not secrets:
            return WebhookResult(None, "the signing secret cannot be decrypted", 0, "", None)
        try:
            return self.sender.send(
                WebhookRequest(
                    str(item.event.id),
                    item.due.url,
                    self.windows.render(item.event),
                    secrets,
                    int(at.timestamp()),
                )
            )
        except Exception as error:  # noqa: BLE001 - must not keep the others of its round
            return WebhookResult(None, "could not be sent", 0, "", None, error)

    def _record(self, record: RoundRecord) -> None:
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                with self.begin() as work:
                    if work.webhook_deliveries.record(record) and record.disabled_reason:
                        self._disable(work, record.claim, record.disabled_reason)
                    work.commit()
            except AtomicError as error:
                if not error.retryable or not tries_left:
                    raise
            else:
                return

    def _disable(self, work: UnitOfWork, claim: EndpointClaim, reason: DisabledReason) -> None:
        change = EndpointChange(status=EndpointStatus.DISABLED, disabled_reason=reason)
        disabled = work.webhook_endpoints.change(claim.endpoint.id, change)
        event_type = EventType.WEBHOOK_ENDPOINT_DISABLED
        data = describe_endpoint(disabled)
        work.events.add([Event(disabled.merchant_id, event_type, None, None, data=data)])
        audit_type = AuditEventType.WEBHOOK_ENDPOINT_DISABLED
        audit_endpoint(work, self.ids, audit_type, disabled, ATOMIC)


def _read_round(work: UnitOfWork, claim: EndpointClaim, windows: StreamWindows) -> Round:
    endpoint = claim.endpoint
    position = endpoint.position
    retries = [
        # Its URL may have been changed since.
        RoundItem(due._replace(url=endpoint.url or due.url), event, is_retry=True)
        for due in work.webhook_deliveries.list_retries(claim, MAX_ROUND_EVENTS)
        # Of an ordered endpoint, the first one that failed is the next in the stream too.
        if not (endpoint.is_ordered and due.sequence > position)
        and (event := work.events.get(endpoint.merchant_id, due.event_id)) is not None
    ]
    window_end = max(position, min(claim.target, position + EVENT_WINDOW))
    filters = EventFilter(
        types=expand_event_types(endpoint.event_types) if endpoint.event_types else frozenset(),
        after=position,
        before=window_end + 1,
    )
    limit = max(1, MAX_ROUND_EVENTS - len(retries))
    events: Sequence[StreamEvent] = []
    if position < window_end:
        events = windows.read(work, endpoint.merchant_id, filters, limit)
    by_sequence = {event.sequence: event for event in events}
    # After a replay, what is retried can lie after the position too: it is sent once.
    retried = {item.due.sequence for item in retries}
    items = retries + [
        RoundItem(due, by_sequence[due.sequence], is_retry=False)
        for due in work.webhook_deliveries.list_new(claim, events)
        if due.sequence not in retried
    ]
    end_position = events[-1].sequence if len(events) == limit else window_end
    return Round(claim, items, end_position)
