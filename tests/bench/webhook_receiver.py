"""A receiver of webhooks in a process of its own, so that it shares no interpreter with what is
measured. It answers 200, except to /hang, and counts what it receives."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

HOST: Final = "127.0.0.1"

HANG_PATH: Final = b"/hang"

HANG_SECONDS: Final = 3_600

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    port: int
    _process: subprocess.Popen[bytes]

    def get_url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}/{path}"

    def read(self) -> dict[str, Any]:
        """What was received since the last reset: `count`, the `first` and `last` time, and the
        `seconds` from each event until its receipt."""
        return self._call("read")

    def count(self) -> int:
        return int(self._call("count"))

    def reset(self) -> None:
        self._call("reset")

    def _call(self, command: str) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def run_receiver() -> Iterator[WebhookReceiver]:
    with subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield WebhookReceiver(json.loads(process.stdout.readline()), process)
        finally:
            # Its end of input ends the process.
            process.stdin.close()


@dataclass(slots=True)
class _Receipts:
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    seconds: list[float] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                lengths = [line for line in lines if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0].partition(b":")[2]))
                if head.split(b" ", 2)[1] == HANG_PATH:
                    await asyncio.sleep(HANG_SECONDS)
                self._record(body)
                writer.write(OK)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _record(self, body: bytes) -> None:
        self.last = time.time()
        self.first = self.first or self.last
        self.count += 1
        occurred_at = datetime.fromisoformat(json.loads(body)["occurredAt"])
        self.seconds.append(self.last - occurred_at.timestamp())

    def call(self, command: str) -> object:
        if command == "count":
            return self.count
        if command == "read":
            return {
                "count": self.count,
                "first": self.first,
                "last": self.last,
                "seconds": self.seconds,
            }
        self.count, self.first, self.last, self.seconds = 0, 0.0, 0.0, []
        return None


async def _main() -> None:
    receipts = _Receipts()
    server = await asyncio.start_server(receipts.serve, HOST, 0, backlog=1_024)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)  # noqa: T201
    while command := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(receipts.call(command.strip())), flush=True)  # noqa: T201
    # Without waiting for the connections that are open.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_main())
