"""TLS between octets and octets: what arrives is decrypted, what is to be sent is encrypted. Knows no sockets."""

from __future__ import annotations

import ssl

CHUNK = 1 << 18
"""Octets that are decrypted at a time."""


class Tls:
    """The client's end of one TLS connection. Every method may raise OSError (of which ssl.SSLError is one)."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    def shake_hands(self) -> bool:
        """Go as far as what has arrived allows, and return whether the handshake is done. Raises ConnectionError without h2."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        if self._tls.selected_alpn_protocol() != "h2":
            raise ConnectionAbortedError("the server does not speak HTTP/2 (ALPN h2)")
        return True

    def arrived(self, octets: bytes | memoryview) -> None:
        """Take in what has arrived."""
        self._incoming.write(octets)

    def decrypted(self) -> bytes:
        """Return what has been decrypted since, possibly nothing. Raises ConnectionResetError when the peer has said goodbye."""
        parts: list[bytes] = []
        try:
            while part := self._tls.read(CHUNK):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts)
        except ssl.SSLZeroReturnError:
            pass
        if parts:
            return b"".join(parts)
        raise ConnectionResetError("the peer closed the connection")

    def encrypt(self, octets: bytes) -> None:
        """Have octets encrypted, to be taken with `outgoing`."""
        self._tls.write(octets)

    def outgoing(self) -> bytes:
        """Return what is to be sent now."""
        return self._outgoing.read()
