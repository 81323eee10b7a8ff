"""The card network of the fault suite: it keeps books of its own, in a file that all processes
share, and loses, delays and refuses answers. At the end its books are compared with ours."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from atomic_adapters.networks.sandbox import SandboxCardNetwork
from atomic_core.domain.card_networks import NetworkResponse, Verdict
from atomic_core.domain.settlement import Claim
from fault.failpoint_flags import FailpointFlags

BOOKS_FILE: Final = "network-books.sqlite"
SILENT_FLAG: Final = "network-silent"
"""While this file exists, the network does what it is asked, and every answer is lost."""
DOWN_FLAG: Final = "network-down"
"""While this file exists, nothing reaches the network."""

LOSSY_SOURCE: Final = "tok_lossy"
"""Approved; each of its requests and answers may be lost, delayed or refused."""

MAX_LOSSES: Final = 5
"""After so many responses of a step that were not final, the network answers: the next pause would
be 16 seconds, and a run has to end."""

BUSY_SECONDS: Final = 1.0
"""How long a call waits for another process that writes the books. A process that is frozen while
it writes makes the calls of the others fail, as a real network would."""

CREATE_TABLE: Final = """
CREATE TABLE IF NOT EXISTS operations (
    item_id    TEXT NOT NULL,
    step       TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    amount     INTEGER NOT NULL,
    verdict    TEXT NOT NULL,
    reason     TEXT,
    PRIMARY KEY (item_id, step)
)
"""

NetworkTruth = tuple[int, int, int]
"""What the network holds, has captured and has refunded for a payment, in minor units."""

NOTHING: Final[NetworkTruth] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class NetworkBooks:
    """What the network has done, by claim id and step: a repeated request has no further effect and
    gets the first response."""

    path: Path

    def process(
        self, claims: Sequence[Claim], responses: Sequence[NetworkResponse]
    ) -> Sequence[NetworkResponse]:
        """Do what is asked, unless it has been done. `responses` are those to a first request."""
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO operations (item_id, step, payment_id, amount, verdict, reason)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (
                        *_build_key(claim),
                        str(claim.payment_id),
                        claim.amount if claim.capture_amount is None else claim.capture_amount,
                        response.verdict.value,
                        response.reason,
                    )
                    for claim, response in zip(claims, responses, strict=True)
                    if response.verdict in (Verdict.APPROVED, Verdict.DECLINED)
                ],
            )
            stored = [self._find(connection, claim) for claim in claims]
            connection.execute("COMMIT")
        return [found or response for found, response in zip(stored, responses, strict=True)]

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        with self._connect() as connection:
            stored = [self._find(connection, claim) for claim in claims]
        return [found or NetworkResponse(Verdict.NOT_FOUND) for found in stored]

    def read_truth(self) -> Mapping[str, NetworkTruth]:
        """By payment id. The steps of a payment follow each other in this order."""
        truth: dict[str, NetworkTruth] = {}
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT payment_id, step, amount FROM operations WHERE verdict = 'approved'"
                " ORDER BY payment_id, CASE step WHEN 'charge' THEN 0 WHEN 'authorize' THEN 0"
                " WHEN 'capture' THEN 1 WHEN 'refund' THEN 2 ELSE 3 END"
            )
            for payment_id, step, amount in rows:
                held, captured, refunded = truth.get(payment_id, NOTHING)
                match step:
                    case "charge":
                        captured += amount
                    case "authorize":
                        held += amount
                    case "capture":
                        held, captured = 0, captured + amount
                    case "refund":
                        refunded += amount
                    case _:
                        held, refunded = 0, captured
                truth[payment_id] = (held, captured, refunded)
        return truth

    @staticmethod
    def _find(connection: sqlite3.Connection, claim: Claim) -> NetworkResponse | None:
        row = connection.execute(
            "SELECT verdict, reason FROM operations WHERE item_id = ? AND step = ?",
            _build_key(claim),
        ).fetchone()
        return NetworkResponse(Verdict(row[0]), row[1]) if row else None

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        # A connection per call: the processes fork, and calls run in many threads.
        with closing(
            sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(CREATE_TABLE)
            yield connection


def _build_key(claim: Claim) -> tuple[str, str]:
    return str(claim.id), str(claim.step)


class LostAnswerError(Exception):
    """The connection was cut during a call."""


class LossyCardNetwork:
    """The sandbox with books of its own. `SILENT_FLAG` and `DOWN_FLAG` in the folder of the flags
    concern all claims; those of LOSSY_SOURCE lose requests and answers at any time."""

    answers_claims_apart = False

    def __init__(self, flags: FailpointFlags) -> None:
        self._folder = flags.folder
        self._books = NetworkBooks(flags.folder / BOOKS_FILE)
        self._sandbox = SandboxCardNetwork()

    def authorize(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(claims, self._sandbox.authorize)

    def capture(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(claims, self._sandbox.capture)

    def void(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(claims, self._sandbox.void)

    def reverse(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(claims, self._sandbox.reverse)

    def refund(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        return self._call(claims, self._sandbox.refund)

    def inquire(self, claims: Sequence[Claim]) -> Sequence[NetworkResponse]:
        if self._is_flagged(SILENT_FLAG) or self._is_flagged(DOWN_FLAG):
            return [NetworkResponse(Verdict.UNKNOWN)] * len(claims)
        return [
            NetworkResponse(Verdict.UNKNOWN) if _draw(claim, "inquire") < 0.3 else response
            for claim, response in zip(claims, self._books.inquire(claims), strict=True)
        ]

    def _call(
        self,
        claims: Sequence[Claim],
        respond: Callable[[Sequence[Claim]], Sequence[NetworkResponse]],
    ) -> Sequence[NetworkResponse]:
        if self._is_flagged(DOWN_FLAG):
            return [NetworkResponse(Verdict.NOT_SENT)] * len(claims)
        fates = [_choose_fate(claim) for claim in claims]
        arrived = [claim for claim, fate in zip(claims, fates, strict=True) if fate.arrives]
        responses = iter(self._books.process(arrived, respond(arrived)))
        if any(fate.raises for fate in fates):
            raise LostAnswerError
        is_silent = self._is_flagged(SILENT_FLAG)
        answers: list[NetworkResponse] = []
        for fate in fates:
            response = next(responses) if fate.arrives else NetworkResponse(Verdict.UNKNOWN)
            lost = NetworkResponse(Verdict.UNKNOWN) if is_silent else None
            answers.append(fate.answer or lost or response)
        return answers

    def _is_flagged(self, name: str) -> bool:
        return (self._folder / name).exists()


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one request."""

    arrives: bool = True
    answer: NetworkResponse | None = None
    """The answer that is seen instead of the true one."""
    raises: bool = False
    """Whether the call fails as a whole, after it has taken effect."""


USUAL: Final = Fate()

FATES: Final[Sequence[tuple[float, Fate]]] = (
    (0.25, Fate(answer=NetworkResponse(Verdict.UNKNOWN))),
    (0.40, Fate(arrives=False, answer=NetworkResponse(Verdict.UNKNOWN))),
    (0.48, Fate(arrives=False, answer=NetworkResponse(Verdict.NOT_SENT))),
    (0.54, Fate(arrives=False, answer=NetworkResponse(Verdict.PENDING))),
    (0.57, Fate(raises=True)),
)
"""By the upper bound of a number drawn from 0 to 1."""


def _choose_fate(claim: Claim) -> Fate:
    if claim.source != LOSSY_SOURCE:
        return USUAL
    drawn = _draw(claim, "call")
    return next((fate for bound, fate in FATES if drawn < bound), USUAL)


def _draw(claim: Claim, kind: str) -> float:
    """A number from 0 to 1 that follows from the claim, so that a run can be repeated. Only lossy
    claims draw low numbers, MAX_LOSSES times at most."""
    if claim.source != LOSSY_SOURCE or claim.faults >= MAX_LOSSES:
        return 1.0
    seed = f"{claim.id} {claim.step} {claim.faults} {claim.attempt} {kind}"
    return Random(seed).random()
