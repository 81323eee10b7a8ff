"""gunicorn's gevent worker with a connection loop of our own.

It bounds how long a request may take to arrive and a response to be read, evicts the connection
that has waited longest when all places are taken, and stops without resetting a connection.
docs/http-server.md has the reasons, the figures and what this relies on.

HTTP/1 only, and no PROXY protocol. gunicorn's master imports this before the workers patch the
standard library.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import wait_read, wait_write
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeader, NoMoreData
from gunicorn.workers.ggevent import GeventWorker

from atomic_web.http.server_environ import IS_STOPPING, RAW_HEADERS
from atomic_web.server.connection_eviction import (
    ConnectionEvicted,
    ConnectionEvictor,
    WorkerStopping,
)
from atomic_web.server.listening import ignore_new_connections
from atomic_web.server.request_reader import BoundedRequestParser, RequestReader

HEARTBEAT_SECONDS: Final = 1.0

READ_BYTES: Final = 8_192
"""The first read of a request, and so the most that is read of pipelined ones."""

MAX_REQUESTS_PER_CONNECTION: Final = 1_000
"""The connection is closed after this response, as nginx does by default: clients are distributed
again over the processes, and no connection can occupy a place for ever."""

HANDSHAKE_SECONDS: Final = 0.2
"""How long a stopping worker still accepts after it ignores new connection attempts, so that
handshakes under way can finish: a round trip across an ocean."""

LAST_REQUEST_SECONDS: Final = 0.2
"""How long a stopping worker waits for a request on an idle connection: one may be under way."""

CLOSE_SECONDS: Final = 0.2
"""How long it then waits, its own side closed, for the client to close: what arrives after that
is answered with a reset."""

DISCARDED_BODY_BYTES: Final = 65_536
"""A request body that the application did not read is read up to this size, to keep the
connection."""


class Response(wsgi.Response):
    """Writes head and body in one packet; gunicorn's own takes two."""

    def write(self, arg: bytes) -> None:
        is_whole_body = not self.headers_sent and self.response_length == len(arg)
        if not is_whole_body or self.req.method == "HEAD":
            super().write(arg)
            return
        head = self.default_headers()
        head += [f"{name}: {value}\r\n" for name, value in self.headers]
        self.headers_sent = True
        self.sent = len(arg)
        self.sock.sendall("".join([*head, "\r\n"]).encode("latin-1") + arg)

    def should_close(self) -> bool:
        # After a body that could not be read, the start of the next request is unknown.
        body: Any = self.req.body
        return body.failed or super().should_close()


class Worker(GeventWorker):
    request_timeout_seconds = 15.0
    """How long a request may take to arrive, and a response to be read. Set in gunicorn_conf.py."""
    drain_seconds = 0.0
    """How long a stopping worker still accepts connections while its readiness probe fails, so
    that a load balancer can react. Set in gunicorn_conf.py."""
    headers: Sequence[tuple[str, str]] = ()
    """Headers of every response. Set in gunicorn_conf.py."""
    stop_waiting: Callable[[], None] | None = None
    """Lets requests that wait for an event be answered at once. Set in gunicorn_conf.py."""
    count_malformed_request: Callable[[str | None], Sequence[Any]] | None = None
    """Counts a request that cannot be parsed against the limits of its client address, and returns
    their states. Set in gunicorn_conf.py."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._evictor = ConnectionEvictor(self._is_full)
        self._is_listening = True

    def run(self) -> None:
        self._connections = Pool(self.worker_connections)
        servers = [self._start_server(socket) for socket in self.sockets]
        while self.alive:
            self.notify()
            self._await_signal()
        self._stop(servers)

    def _start_server(self, socket: Any) -> StreamServer:
        socket.setblocking(1)
        handle = partial(self.handle, socket.getsockname())
        server = StreamServer(socket, handle=handle, spawn=self._connections)
        server.start()
        return server

    def _await_signal(self) -> None:
        """gunicorn's signal handlers write a byte into this pipe."""
        with suppress(TimeoutError):
            wait_read(self.PIPE[0], HEARTBEAT_SECONDS)
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], READ_BYTES)

    def _stop(self, servers: list[StreamServer]) -> None:
        """Readiness fails first (see `_respond`), and waits end; then stop listening without
        resetting a connection, close idle connections, and finish the requests in progress."""
        if self.stop_waiting is not None:
            self.stop_waiting()
        self._sleep(self.drain_seconds)
        are_ignored = [ignore_new_connections(server.socket) for server in servers]
        if any(are_ignored):
            self._sleep(HANDSHAKE_SECONDS)
        grace_seconds = self.cfg.graceful_timeout - self.drain_seconds
        deadline = time.monotonic() + grace_seconds
        for server in servers:
            self._accept_queued_connections(server, deadline)
            server.close()
        self._is_listening = False
        self._evictor.stop_idle()
        while len(self._connections):
            seconds_left = deadline - time.monotonic()
            if seconds_left <= 0:
                self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
                return
            self.notify()
            self._connections.join(timeout=min(seconds_left, HEARTBEAT_SECONDS))

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (seconds_left := end - time.monotonic()) > 0:
            self.notify()
            gevent.sleep(min(seconds_left, HEARTBEAT_SECONDS))

    def _accept_queued_connections(self, server: StreamServer, deadline: float) -> None:
        """Accept until the kernel's queue is empty, waiting for free places until `deadline`."""
        server.stop_accepting()
        while time.monotonic() < deadline:
            if self._is_full():
                self.notify()
                self._evictor.make_room()
                self._connections.wait_available(timeout=HEARTBEAT_SECONDS)
            elif accepted := server.do_read():
                server.do_handle(*accepted)
            else:
                return

    def _is_full(self) -> bool:
        return len(self._connections.greenlets) >= self.worker_connections

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection, from its first request to its last."""
        try:
            if not self._serve(listener, client, addr):
                self._close_gracefully(client)
        except (NoMoreData, OSError):
            pass  # The client has closed the connection, or has not read its response in time.
        except Exception as error:  # noqa: BLE001 - any error ends this connection only
            self.handle_error(None, client, addr, error)
            self._close_gracefully(client)
        finally:
            util.close(client)

    def _close_gracefully(self, client: Any) -> None:
        """Let the client read its response first: a reset could overtake it."""
        with suppress(ConnectionEvicted), self._evictor.waiting_to_close():
            util.close_graceful(client)

    def _serve(self, listener: Any, client: Any, addr: Any) -> bool:
        """Serve requests until the connection ends. Returns False if unread bytes may be left."""
        reader = RequestReader(client, self.request_timeout_seconds, self._evictor)
        # The type stubs describe an older gunicorn.
        parser: Any = BoundedRequestParser(self.cfg, cast("Any", reader), addr)
        for number in range(1, MAX_REQUESTS_PER_CONNECTION + 1):
            first_bytes = self._receive_first_bytes(parser.unreader, client)
            if not first_bytes:
                return True
            reader.start_request()
            parser.unreader.unread(first_bytes)
            is_last = number == MAX_REQUESTS_PER_CONNECTION
            response = self._respond(listener, next(parser), client, addr, is_last=is_last)
            if not self._discard_rest_of_body(parser, reader):
                return False
            if response.should_close():
                return not is_last
        return False

    def _discard_rest_of_body(self, parser: Any, reader: RequestReader) -> bool:
        """Read past a body that the application did not read; whether its end was found."""
        try:
            return parser.finish_body(reader.deadline, DISCARDED_BODY_BYTES)
        except Exception:  # noqa: BLE001
            # The response has been sent. A second one would be taken for the next request's.
            return False

    def _receive_first_bytes(self, unreader: Any, client: Any) -> bytes:
        """The first bytes of the next request; empty if the connection is to be closed.

        Always waits for the event loop, also if bytes have arrived already: every connection that
        is ready gets one request per turn of the loop, however many requests a client pipelines.
        """
        if pipelined := unreader.take_buffered():
            return pipelined if self._wait_until_writable(client) else b""
        if self._is_listening:
            client.settimeout(self.cfg.keepalive)
            try:
                with self._evictor.waiting_idle():
                    wait_read(client.fileno(), self.cfg.keepalive)
                    return client.recv(READ_BYTES)
            except (TimeoutError, ConnectionEvicted):
                return b""
            except WorkerStopping:
                pass
        client.settimeout(LAST_REQUEST_SECONDS)
        try:
            return client.recv(READ_BYTES)
        except TimeoutError:
            util.close_graceful(client, CLOSE_SECONDS)
            return b""

    def _wait_until_writable(self, client: Any) -> bool:
        """Let other greenlets run, and wait for a client that does not read its responses. Returns
        False if the connection is to be closed."""
        try:
            with self._evictor.reading_since(time.monotonic()):
                wait_write(client.fileno(), self.request_timeout_seconds)
        except (TimeoutError, ConnectionEvicted):
            return False
        return True

    def _respond(
        self, listener: Any, request: Any, client: Any, addr: Any, *, is_last: bool
    ) -> Response:
        create: Any = wsgi.create
        response, environ = create(
            request, client, addr, listener, self.cfg, response_class=Response
        )
        if "HTTP_HOST" not in environ and request.version > (1, 0):
            raise InvalidHeader("HOST")  # RFC 9112, 3.2
        environ["wsgi.multithread"] = True
        environ[RAW_HEADERS] = request.headers
        if not self.alive:
            environ[IS_STOPPING] = True
        body: Any = self.wsgi(environ, response.start_response)
        # Not before: a request can wait for an event until the worker stops.
        if is_last or not self.alive:
            response.force_close()
        try:
            client.settimeout(self.request_timeout_seconds)
            for part in body:
                response.write(part)
            response.close()
        finally:
            if hasattr(body, "close"):
                body.close()
        return response

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        """Send the error envelope. gunicorn's own response is HTML, and its log quotes the
        request, which may hold an API key."""
        from atomic_web.server.malformed_requests import render_error_response

        address = addr[0] if isinstance(addr, tuple) else None
        with suppress(OSError):
            client.settimeout(self.request_timeout_seconds)
            client.sendall(
                render_error_response(exc, address, self.headers, self.count_malformed_request)
            )
