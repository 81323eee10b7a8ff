"""Events of card networks: received once, acted on by settlement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from atomic_core.domain.errors import NotFound
from atomic_core.domain.network_events import (
    BATCH_SIZE,
    MAX_POSTPONEMENTS,
    POSTPONEMENT,
    RETENTION,
    NetworkEvent,
)
from atomic_core.ports.job_queue import Job, JobQueue
from atomic_core.ports.network_event_verifier import NetworkEventVerifier
from atomic_core.ports.unit_of_work import UnitOfWork, UnitOfWorkFactory
from atomic_core.use_cases.maintenance import MAX_PURGE_BATCHES, purge_in_batches


@dataclass(frozen=True, slots=True)
class ReceiveNetworkEvent:
    """Store an event that a card network has signed, and wake a worker. Changes nothing else, and
    nothing at all if the event was received before. Raises NotFound if the network sends no events
    here, and what NetworkEventVerifier raises."""

    begin: UnitOfWorkFactory
    verifiers: Mapping[str, NetworkEventVerifier]
    """By network."""
    job_queue: JobQueue

    def __call__(self, network: str, body: bytes, signature: str) -> None:
        verifier = self.verifiers.get(network)
        if verifier is None:
            raise NotFound
        event = verifier.verify(body, signature)
        if event is None:
            return
        with self.begin() as work:
            is_new = work.network_events.add(event)
            work.commit()
        if is_new:
            self.job_queue.notify(Job.SETTLE)


@dataclass(frozen=True, slots=True)
class ActOnNetworkEvents:
    """Let settlement inquire at once about the payments and refunds that events name, if the
    network has left their step open. Returns how many events were acted on.

    Whatever else an event says is ignored: a settled payment is final, and of an open one the
    answer to the inquiry decides.
    """

    begin: UnitOfWorkFactory
    networks: Sequence[str]
    """Those that send events."""

    def __call__(self) -> int:
        if not self.networks:
            return 0
        total = 0
        for _ in range(MAX_PURGE_BATCHES):
            with self.begin() as work:
                events = work.network_events.lock_due(BATCH_SIZE)
                if events:
                    _act(work, events)
                    work.commit()
            total += len(events)
            if len(events) < BATCH_SIZE:
                break
        return total


def _act(work: UnitOfWork, events: Sequence[NetworkEvent]) -> None:
    busy: set[UUID] = set()
    for network in sorted({event.network for event in events}):
        of_network = [event for event in events if event.network == network]
        # Payments first, as settlement locks them.
        payment_ids = {
            event.payment_id for event in of_network if event.payment_id and not event.refund_id
        }
        refund_ids = {event.refund_id for event in of_network if event.refund_id}
        busy |= work.payments.request_inquiries(payment_ids, network)
        busy |= work.refunds.request_inquiries(refund_ids, network)
    postponed = [
        event
        for event in events
        if event.subject_id in busy and event.postponements < MAX_POSTPONEMENTS
    ]
    postponed_ids = {(event.network, event.id) for event in postponed}
    finished = [event for event in events if (event.network, event.id) not in postponed_ids]
    work.network_events.postpone(postponed, POSTPONEMENT)
    work.network_events.finish(finished)


@dataclass(frozen=True, slots=True)
class PurgeNetworkEvents:
    """Delete events that were received long ago. Returns their number."""

    begin: UnitOfWorkFactory

    def __call__(self) -> int:
        return purge_in_batches(
            self.begin, lambda work: work.network_events.purge(RETENTION, BATCH_SIZE)
        )
