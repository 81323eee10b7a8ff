"""`python -m fault.proxy LISTEN TARGET`: a PostgreSQL proxy that can drop the reply to a COMMIT.
It is a process, so that it does not share an interpreter with the threads of the clients.

When armed by a flag, it forwards the next COMMIT, drops the reply and closes the connection: the
client cannot know whether the transaction was committed.
"""

import asyncio
import re
import signal
import sys
from contextlib import suppress
from typing import Final

from fault.failpoint_flags import FailpointFlags

DROP_REPLY: Final = "drop-reply"

READ_BYTES: Final = 262_144

# ReadyForQuery with status idle: everything before it is committed. CommandComplete of a COMMIT, or
# of an INSERT that was a transaction by itself.
READY_IDLE: Final = b"Z\x00\x00\x00\x05I"
COMMITTED: Final = re.compile(rb"C\x00\x00\x00.(?:COMMIT|INSERT 0 [1-9]\d*)\x00", re.DOTALL)

KEPT_BYTES: Final = 64
"""More than the length of one of these messages, which may arrive in two reads."""


class Proxy:
    def __init__(self, target: str, flags: FailpointFlags) -> None:
        self._target = target
        self._flags = flags
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        """Forward one connection until either side closes it."""
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(
                self._target, limit=READ_BYTES
            )
        except OSError:
            client_writer.transport.abort()
            return
        directions = [
            asyncio.create_task(self._forward_requests(client_reader, server_writer)),
            asyncio.create_task(self._forward_replies(server_reader, client_writer)),
        ]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in directions:
            direction.cancel()
        for writer in (client_writer, server_writer):
            writer.transport.abort()

    async def _forward_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                writer.write(data)
                await writer.drain()

    async def _forward_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        recent = b""
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                recent += data
                if recent.endswith(READY_IDLE):
                    if COMMITTED.search(recent) and self._flags.take(DROP_REPLY):
                        return
                    recent = b""
                recent = recent[-KEPT_BYTES:]
                writer.write(data)
                await writer.drain()
            # The server closed the connection after these replies: do the same.
            if writer.can_write_eof():
                writer.write_eof()


async def main(listen: str, target: str) -> None:
    proxy = Proxy(target, FailpointFlags.from_environ())
    server = await asyncio.start_unix_server(proxy.serve, listen, limit=READ_BYTES, backlog=128)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    async with server:
        with suppress(asyncio.CancelledError):
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
