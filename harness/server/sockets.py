"""What both listening edges need to know about sockets."""

from __future__ import annotations

import os
import socket


def reason(error: OSError) -> str:
    """Return the system's words for an error; Python's helpers for listening put a sentence of their own around them."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return str(error.strerror)
    return os.strerror(error.errno)
