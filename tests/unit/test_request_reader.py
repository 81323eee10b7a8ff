"""Reading requests from clients that send without a pause."""

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from atomic_web.errors import RequestTimeout
from atomic_web.server.connection_eviction import ConnectionEvictor
from atomic_web.server.request_reader import MAX_BYTES_PER_TURN, RequestReader

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def create_reader(connection: socket.socket, timeout_seconds: float) -> RequestReader:
    reader = RequestReader(connection, timeout_seconds, ConnectionEvictor(lambda: False))
    reader.start_request()
    return reader


def test_deadline_ends_a_request_whose_bytes_keep_arriving(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"x")
    reader = create_reader(ours, timeout_seconds=0)
    with pytest.raises(RequestTimeout):
        reader.recv(1)


def test_other_greenlets_run_while_a_client_sends_without_a_pause(pair: Pair) -> None:
    ours, theirs = pair
    reader = create_reader(ours, timeout_seconds=60)
    others: list[int] = []
    sent = 0

    def receive_turn() -> int:
        """Receive what the kernel has, as one read after the other."""
        nonlocal sent
        theirs.sendall(b"x" * 1_024)
        sent += 1_024
        return len(reader.recv(1_024))

    gevent.spawn(lambda: others.append(sent))
    while sent <= MAX_BYTES_PER_TURN:
        assert receive_turn() == 1_024
    assert others, "no other greenlet ran"
    assert others[0] <= MAX_BYTES_PER_TURN + 1_024


def test_one_read_is_no_longer_than_a_turn(pair: Pair) -> None:
    ours, theirs = pair
    sender = gevent.spawn(theirs.sendall, b"x" * (4 * MAX_BYTES_PER_TURN))
    reader = create_reader(ours, timeout_seconds=60)
    gevent.idle()
    assert len(reader.recv(1_048_576)) <= MAX_BYTES_PER_TURN
    sender.kill()
