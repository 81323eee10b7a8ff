"""`python -m fault.proxy LISTEN TARGET`: stands before PostgreSQL and can lose the reply to a
COMMIT. A process of its own, so that it does not share a processor with the callers' threads.

Armed by a flag, it lets the next transaction be committed, keeps the reply to itself and cuts
the connection: to the one who asked, the outcome is unknown.
"""

import asyncio
import re
import signal
import sys
from contextlib import suppress
from typing import Final

from fault.flags import Flags

LOSE_REPLY: Final = "lose-reply"

READ_BYTES: Final = 262_144

# ReadyForQuery, idle: whatever was asked before it is committed. CommandComplete of a COMMIT, or
# of an INSERT that was a transaction of its own.
READY_IDLE: Final = b"Z\x00\x00\x00\x05I"
COMMITTED: Final = re.compile(rb"C\x00\x00\x00.(?:COMMIT|INSERT 0 [1-9]\d*)\x00", re.DOTALL)

REMEMBERED: Final = 64
"""Bytes; more than one of these messages has, should it arrive in two pieces."""


class Proxy:
    def __init__(self, target: str, flags: Flags) -> None:
        self._target = target
        self._flags = flags
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(
        self, client_reads: asyncio.StreamReader, client_writes: asyncio.StreamWriter
    ) -> None:
        """One connection, until either side ends it."""
        try:
            server_reads, server_writes = await asyncio.open_unix_connection(
                self._target, limit=READ_BYTES
            )
        except OSError:
            client_writes.transport.abort()
            return
        ways = [
            asyncio.create_task(self._forward(client_reads, server_writes)),
            asyncio.create_task(self._answer(server_reads, client_writes)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for writes in (client_writes, server_writes):
            writes.transport.abort()

    async def _forward(self, reads: asyncio.StreamReader, writes: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reads.read(READ_BYTES):
                writes.write(data)
                await writes.drain()

    async def _answer(self, reads: asyncio.StreamReader, writes: asyncio.StreamWriter) -> None:
        seen = b""
        with suppress(OSError):
            while data := await reads.read(READ_BYTES):
                seen += data
                if seen.endswith(READY_IDLE):
                    if COMMITTED.search(seen) and self._flags.take(LOSE_REPLY):
                        return
                    seen = b""
                seen = seen[-REMEMBERED:]
                writes.write(data)
                await writes.drain()
            # What the server said last is still said, as it would be without us.
            if writes.can_write_eof():
                writes.write_eof()


async def main(listen: str, target: str) -> None:
    proxy = Proxy(target, Flags.of_environment())
    server = await asyncio.start_unix_server(proxy.serve, listen, limit=READ_BYTES, backlog=128)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    async with server:
        with suppress(asyncio.CancelledError):
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
