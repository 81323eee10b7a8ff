"""Closing a listening socket without resetting connections.

With SO_REUSEPORT each worker has a listening socket of its own. When it closes, the kernel resets
every connection in its queue, also one that arrives between the last accept() and close(). So
the worker first makes the kernel ignore new connection attempts, accepts until the queue is
empty, and only then closes. An ignored client repeats its SYN after a second and reaches another
worker, or is refused because no socket listens: neither loses a request.

gunicorn's master imports this before the workers patch the standard library.
"""

import ctypes
import socket
import struct
import sys
from typing import Final

_SO_ATTACH_FILTER: Final = 26
"""From Linux's asm-generic/socket.h; the socket module does not name it."""

_FLAGS_OFFSET: Final = 13
_SYN: Final = 0x02
_ACK: Final = 0x10

# A classic BPF program over the TCP header (struct sock_filter: code, jt, jf, k). It drops a
# segment with SYN and without ACK, a new connection attempt, and keeps every other segment, so
# that a handshake under way can finish.
_DROP_NEW_CONNECTIONS: Final = (
    (0x30, 0, 0, _FLAGS_OFFSET),  # load the byte of flags
    (0x54, 0, 0, _SYN | _ACK),  # and it with SYN | ACK
    (0x15, 0, 1, _SYN),  # if it is SYN alone continue, else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # keep
)


class _SockFprog(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def ignore_new_connections(listener: socket.socket) -> bool:
    """Make the kernel drop new connection attempts to a listening TCP socket.

    Returns False where that is not possible (not Linux, or not TCP): a connection that arrives
    in the moment of closing is then reset.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    program = b"".join(struct.pack("=HBBI", *each) for each in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = _SockFprog(len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(fprog))
    except OSError:
        return False  # A sandbox may forbid filters; the queue is still emptied before closing.
    return True
