"""How answers of receivers are read, and which connections serve a further webhook."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from atomic_adapters.webhooks.answer_reader import MAX_HEADERS, AnswerReader, HttpAnswer
from atomic_adapters.webhooks.exchange import MAX_BYTES, Exchange, ExchangeSocket, SendFailed
from webhook_receivers import HANG_SECONDS

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, ExchangeSocket]]:
    receiver, sender = socket.socketpair()
    with closing(receiver), closing(ExchangeSocket(fileno=sender.detach())) as bounded:
        yield receiver, bounded


def read(
    pair: tuple[socket.socket, ExchangeSocket], text: bytes, *, is_closed: bool = True
) -> HttpAnswer:
    receiver, sender = pair

    def send() -> None:
        # The test may have ended, and have closed the sockets.
        with suppress(OSError):
            receiver.sendall(text)
            if is_closed:
                receiver.shutdown(socket.SHUT_WR)

    sender.exchange = Exchange.begin(HANG_SECONDS)
    # An answer can be larger than the socket's buffer.
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return AnswerReader(sender, sender.exchange).read()


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (OK, b"ok"),
        (OK.replace(b"\r\n", b"\n"), b"ok"),
        (b"\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (
            CHUNKED + b"2;name=value\r\nok\r\nA\r\n0123456789\r\n0\r\nTrailer: a\r\n\r\n",
            b"ok0123456789",
        ),
        # RFC 9112, 6.3: the encoding overrides the length.
        (
            CHUNKED.replace(b"chunked", b"gzip, Chunked\r\nContent-Length: 1")
            + b"2\r\nok\r\n0\r\n\r\n",
            b"ok",
        ),
    ],
)
def test_complete_answer_leaves_the_connection_open(
    pair: tuple[socket.socket, ExchangeSocket], text: bytes, body: bytes
) -> None:
    answer = read(pair, text, is_closed=False)
    assert (answer.body, answer.is_reusable) == (body, True)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (OK.replace(b"1.1", b"1.0"), b"ok"),
        (OK.replace(b"Content", b"Connection: keep-alive, Close\r\nContent"), b"ok"),
        # What follows would be taken for the next answer.
        (OK + OK, b"ok"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MAX_BYTES + b"a" * MAX_BYTES,
            None,
        ),
    ],
)
def test_connection_is_not_used_again(
    pair: tuple[socket.socket, ExchangeSocket], text: bytes, body: bytes | None
) -> None:
    answer = read(pair, text)
    assert not answer.is_reusable
    assert body is None or answer.body == body


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        OK.replace(b": 2", b": -2"),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        CHUNKED + b"xyz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"1\r\nab\r\n",
    ],
)
def test_what_is_not_http_is_refused_before_the_connection_ends(
    pair: tuple[socket.socket, ExchangeSocket], text: bytes
) -> None:
    with pytest.raises(SendFailed, match="not valid HTTP"):
        read(pair, text, is_closed=False)


def test_second_answer_changes_nothing_of_the_first(
    pair: tuple[socket.socket, ExchangeSocket],
) -> None:
    first = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\n" + OK[17:]
    answer = read(pair, first + OK.replace(b"\r\nC", b"\r\nRetry-After: 9\r\nC"))
    assert answer == HttpAnswer(503, b"ok", "7", is_reusable=False)


@pytest.mark.parametrize("length", [0, 5, 20, len(OK) - 1])
def test_answer_that_is_cut_off_is_an_error(
    pair: tuple[socket.socket, ExchangeSocket], length: int
) -> None:
    with pytest.raises(ConnectionResetError):
        read(pair, OK[:length])


def test_answer_in_single_bytes_is_read(pair: tuple[socket.socket, ExchangeSocket]) -> None:
    receiver, sender = pair
    sender.exchange = Exchange.begin(HANG_SECONDS)
    text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nRetry-After: 7\r\n" + OK[17:]
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_024)

    def send() -> None:
        with suppress(OSError):
            for byte in text:
                receiver.sendall(bytes([byte]))

    threading.Thread(target=send, daemon=True).start()
    answer = AnswerReader(sender, sender.exchange).read()
    assert answer == HttpAnswer(503, b"ok", "7", is_reusable=True)
