"""A listening socket ignores new connections and keeps those that it has queued."""

import errno
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from atomic_web.server.listening import ignore_new_connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters exist on Linux")

GUARD_SECONDS = 60


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 1)) != errno.EADDRNOTAVAIL


FAMILIES = [socket.AF_INET, *([socket.AF_INET6] if has_ipv6() else [])]


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with socket.socket(request.param) as listener:
        listener.bind(("::1" if request.param == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen()
        yield listener


def test_queued_connection_is_served_after_new_ones_are_ignored(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()[:2], GUARD_SECONDS) as client:
        assert ignore_new_connections(listener)
        client.sendall(b"ping")
        server, _ = listener.accept()
        with server:
            assert server.recv(4) == b"ping"
            server.sendall(b"pong")
            listener.close()
            assert client.recv(4) == b"pong"


def test_new_connection_is_neither_accepted_nor_refused(listener: socket.socket) -> None:
    assert ignore_new_connections(listener)
    with socket.socket(listener.family) as client:
        client.setblocking(False)
        assert client.connect_ex(listener.getsockname()[:2]) == errno.EINPROGRESS
        # On loopback a handshake is finished, or refused, before connect() returns.
        assert select.select([], [client], [], 0.2)[1] == []
        assert select.select([listener], [], [], 0)[0] == []


def test_unix_socket_is_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        assert not ignore_new_connections(listener)
