"""A stand-in for Stripe in a process of its own. It approves each PaymentIntent after a while, or
leaves every request without an answer. It keeps no books: those are localstripe's, in the tests."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"

HANG: Final = "hang"


@dataclass(frozen=True, slots=True)
class SlowStripe:
    port: int
    _process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def answer_after(self, seconds: float) -> None:
        """Also the requests that hang."""
        self._call(str(seconds))

    def hang(self) -> None:
        self._call(HANG)

    def _call(self, command: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        self._process.stdout.readline()


@contextmanager
def run_slow_stripe() -> Iterator[SlowStripe]:
    with subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield SlowStripe(json.loads(process.stdout.readline()), process)
        finally:
            # Its end of input ends the process.
            process.stdin.close()


@dataclass(slots=True)
class _Server:
    seconds: float = 0.0
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while requests are answered."""
    count: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [
                    line for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"
                ]
                if lengths:
                    await reader.readexactly(int(lengths[0][15:]))
                await asyncio.sleep(self.seconds)
                await self.answers.wait()
                writer.write(self._build_answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _build_answer(self, head: bytes) -> bytes:
        self.count += 1
        path = head.split(b" ", 2)[1]
        intent = {"id": f"pi_{self.count}", "object": "payment_intent", "status": "succeeded"}
        if path.startswith(b"/v1/payment_intents/search"):
            # It has processed what it was sent.
            document = {"object": "search_result", "data": [intent], "has_more": False}
        else:
            document = intent
        body = json.dumps(document).encode()
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )

    def call(self, command: str) -> None:
        if command == HANG:
            self.answers.clear()
        else:
            self.seconds = float(command)
            self.answers.set()


async def _main() -> None:
    stub = _Server()
    stub.answers.set()
    server = await asyncio.start_server(stub.serve, HOST, 0, backlog=1_024)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)  # noqa: T201
    while command := await asyncio.to_thread(sys.stdin.readline):
        stub.call(command.strip())
        print("done", flush=True)  # noqa: T201
    # Without waiting for the connections that are open.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_main())
