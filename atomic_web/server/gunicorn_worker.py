"""gunicorn's gevent worker, with bounds: on how long a request may take to arrive, on how long
its answer may take to be taken, and on how long a stopping process waits for idle connections.
When all connections are taken, the one that has kept it waiting the longest makes room.

HTTP/1 only, and no PROXY protocol: what gunicorn's own loop does beyond that is left out.
Imported by the master too, so nothing here may import what must wait for monkey-patching.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import wait_read
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeader, NoMoreData
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from atomic_web.http.raw_headers import RAW_HEADERS
from atomic_web.server.request_reader import ConnectionEvicted, Reader, Waiting

HEARTBEAT_SECONDS: Final = 1.0

READ_BYTES: Final = 8_192

LAST_CALL_SECONDS: Final = 0.2
"""How long a stopping worker still listens on an idle connection: a request may be under way."""

FAREWELL_SECONDS: Final = 0.2
"""How long it then lets the client see that it is over, before it closes for good: what arrives
after that is answered with a reset."""

GRACE_SECONDS: Final = 0.1
"""Nobody has to make room sooner: the first bytes come a moment after the connection."""

DRAINED_BYTES: Final = 65_536
"""Of a body that the application did not want this much is read, to keep the connection."""


class WorkerStopping(Exception):
    """Thrown into whoever waits on an idle connection when the worker stops."""


class Response(wsgi.Response):
    """Head and body in one write; gunicorn's own makes two, and two packets."""

    def write(self, arg: bytes) -> None:
        whole = not self.headers_sent and self.response_length == len(arg)
        if not whole or self.req.method == "HEAD":
            super().write(arg)
            return
        head = self.default_headers()
        head += [f"{name}: {value}\r\n" for name, value in self.headers]
        self.headers_sent = True
        self.sent = len(arg)
        self.sock.sendall("".join([*head, "\r\n"]).encode("latin-1") + arg)

    def should_close(self) -> bool:
        # After a body that could not be read nobody knows where the next request would begin.
        body: Any = self.req.body
        return body.failed or super().should_close()


class Worker(GeventWorker):
    request_seconds = 15.0
    """How long a request may take to arrive, and its answer to be taken. See gunicorn_conf.py."""
    headers: Sequence[tuple[str, str]] = ()
    """What every answer carries that the application does not give. See gunicorn_conf.py."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._idle: Waiting = {}
        self._reading: Waiting = {}
        self._look_again: Any = None

    def run(self) -> None:
        self._connections = Pool(self.worker_connections)
        servers = [self._listen_on(socket) for socket in self.sockets]
        while self.alive:
            self.notify()
            self._await_signal()
        self._stop(servers)

    def _listen_on(self, socket: Any) -> StreamServer:
        socket.setblocking(1)
        handle = partial(self.handle, socket.getsockname())
        server = StreamServer(socket, handle=handle, spawn=self._connections)
        server.start()
        return server

    def _await_signal(self) -> None:
        """gunicorn's signal handlers leave a byte in this pipe."""
        with suppress(TimeoutError):
            wait_read(self.PIPE[0], HEARTBEAT_SECONDS)
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], READ_BYTES)

    def _stop(self, servers: list[StreamServer]) -> None:
        """Take the connections that are made already, end the idle ones, see the rest through."""
        for server in servers:
            server.stop_accepting()
            while not server.full() and (accepted := server.do_read()):
                server.do_handle(*accepted)
            server.close()
        gevent.get_hub().loop.run_callback(self._call_last)
        until = time.monotonic() + self.cfg.graceful_timeout
        while len(self._connections):
            left = until - time.monotonic()
            if left <= 0:
                self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
                return
            self.notify()
            self._connections.join(timeout=min(left, HEARTBEAT_SECONDS))

    def _call_last(self) -> None:
        # In the hub, as wake-ups from input are: who is found idle here has not begun to read.
        for waiting in list(self._idle):
            waiting.throw(WorkerStopping)

    def _is_full(self) -> bool:
        return len(self._connections.greenlets) >= self.worker_connections

    def _leave_room(self) -> None:
        """Keep a place for whoever comes next, as long as anybody waits for a client."""
        if self._is_full():
            gevent.get_hub().loop.run_callback(self._make_room)

    def _make_room(self) -> None:
        # In the hub, as above: nobody is interrupted who has begun to work.
        waiting = self._idle | self._reading
        if not waiting or not self._is_full():
            return
        longest = min(waiting, key=waiting.__getitem__)
        left = waiting[longest] + GRACE_SECONDS - time.monotonic()
        if left <= 0:
            longest.throw(ConnectionEvicted)
        elif self._look_again is None:
            self._look_again = gevent.get_hub().loop.timer(left)
            self._look_again.start(self._make_room_now)

    def _make_room_now(self) -> None:
        self._look_again.close()
        self._look_again = None
        self._make_room()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """One connection, from its first request to its last."""
        try:
            if not self._serve(listener, client, addr):
                self._close_gracefully(client)
        except (NoMoreData, OSError):
            pass  # The client has left, or has not taken its answer.
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection only
            self.handle_error(None, client, addr, error)
            self._close_gracefully(client)
        finally:
            util.close(client)

    def _close_gracefully(self, client: Any) -> None:
        """Give the client time to read its answer, for a reset could overtake it."""
        lingering = gevent.getcurrent()
        # Who has had an answer is the first to make room.
        self._reading[lingering] = 0.0
        self._leave_room()
        try:
            util.close_graceful(client)
        except ConnectionEvicted:
            pass
        finally:
            del self._reading[lingering]

    def _serve(self, listener: Any, client: Any, addr: Any) -> bool:
        """Whether everything that was sent has been read."""
        reader = Reader(client, self.request_seconds, self._reading)
        # The types known of gunicorn are an older one's.
        parser: Any = RequestParser(self.cfg, cast("Any", reader), addr)
        while begun := parser.unreader.take_buffered() or self._first_bytes(client):
            reader.begin()
            parser.unreader.unread(begun)
            response = self._answer(listener, next(parser), client, addr)
            if not self._finish(parser, reader):
                return False
            if response.should_close():
                break
        return True

    def _finish(self, parser: Any, reader: Reader) -> bool:
        """Read past a body that the application did not want; whether its end was found."""
        try:
            return parser.finish_body(reader.deadline, DRAINED_BYTES)
        except Exception:  # noqa: BLE001
            # The request has had its answer: a second one would pass for that to the next.
            return False

    def _first_bytes(self, client: Any) -> bytes:
        """Of the next request; nothing if there will be none."""
        if self.alive:
            waiting = gevent.getcurrent()
            self._idle[waiting] = time.monotonic()
            self._leave_room()
            client.settimeout(self.cfg.keepalive)
            try:
                return client.recv(READ_BYTES)
            except (TimeoutError, ConnectionEvicted):
                return b""
            except WorkerStopping:
                pass
            finally:
                del self._idle[waiting]
        client.settimeout(LAST_CALL_SECONDS)
        try:
            return client.recv(READ_BYTES)
        except TimeoutError:
            util.close_graceful(client, FAREWELL_SECONDS)
            return b""

    def _answer(self, listener: Any, request: Any, client: Any, addr: Any) -> Response:
        create: Any = wsgi.create
        response, environ = create(
            request, client, addr, listener, self.cfg, response_class=Response
        )
        if "HTTP_HOST" not in environ and request.version > (1, 0):
            raise InvalidHeader("HOST")  # RFC 9112, 3.2
        environ["wsgi.multithread"] = True
        environ[RAW_HEADERS] = request.headers
        if not self.alive:
            response.force_close()
        content: Any = self.wsgi(environ, response.start_response)
        try:
            client.settimeout(self.request_seconds)
            for part in content:
                response.write(part)
            response.close()
        finally:
            if hasattr(content, "close"):
                content.close()
        return response

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        """Refuse what could not be read. gunicorn's own is HTML, and quotes what it read in its
        log, a key perhaps."""
        from atomic_web.server.malformed_requests import refusal

        address = addr[0] if isinstance(addr, tuple) else None
        with suppress(OSError):
            client.sendall(refusal(exc, address, self.headers))
