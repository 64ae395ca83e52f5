"""A WebSocket client over plain sockets (RFC 6455), strict about everything that a server may get wrong.

No extension and no subprotocol is offered, so a server may select none (§9.1). Only ``ws://`` is spoken.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import time
from typing import NamedTuple
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes (RFC 6455 §5.2)."""

NO_STATUS = 1005
"""What a close frame without a body counts as; never sent (RFC 6455 §7.1.5)."""
ABNORMAL = 1006
"""The connection ended without a close frame; never sent (RFC 6455 §7.1.5)."""

_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_HEAD_BYTES = 16_384
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


class ProtocolError(Exception):
    """The server did what RFC 6455 forbids. ``close_code`` is what it deserves to be told (§7.4.1)."""

    def __init__(self, reason: str, close_code: int = 1002) -> None:
        super().__init__(reason)
        self.close_code = close_code


class UpgradeRefused(Exception):
    """The server answered the upgrade with something other than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the upgrade was answered with {status}")
        self.status = status


class Closed(Exception):
    """The connection is over: the code and reason that the server closed with, or 1005 or 1006 where it gave none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """One frame as it travels (RFC 6455 §5.2), its payload unmasked."""

    final: bool
    opcode: int
    payload: bytes


def accept_value(key: str) -> str:
    """What a server must answer to a ``Sec-WebSocket-Key`` (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _ACCEPT_SUFFIX).digest()).decode("ascii")


def mask(payload: bytes, key: bytes) -> bytes:
    """The payload under a four-byte masking key; its own inverse (RFC 6455 §5.3)."""
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def encode_frame(frame: Frame, key: bytes) -> bytes:
    """The bytes of a client's frame, which is always masked (RFC 6455 §5.1)."""
    length = len(frame.payload)
    first = (0x80 if frame.final else 0) | frame.opcode
    if length < 126:
        head = struct.pack("!BB", first, 0x80 | length)
    elif length < 65_536:
        head = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, length)
    return head + key + mask(frame.payload, key)


def is_close_code(code: int) -> bool:
    """May this code stand in a close frame (RFC 6455 §7.4, and 1012 to 1014 of its registry)?"""
    return (1000 <= code <= 1014 and code not in (1004, NO_STATUS, ABNORMAL)) or 3000 <= code <= 4999


class WebSocket:
    """An open WebSocket. Every wait shares one deadline; past it ``TimeoutError`` is raised.

    As a context it only frees the socket at the end; call :meth:`close` to end the connection well.
    """

    def __init__(self, stream: socket.socket, deadline: float, unread: bytes = b"") -> None:
        """:param deadline: in ``time.monotonic()`` seconds; :param unread: bytes that were read past the upgrade"""
        self._stream = stream
        self._deadline = deadline
        self._buffer = bytearray(unread)
        self._close_sent = False

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def send_text(self, text: str, fragment_bytes: int | None = None) -> None:
        """Send a text message; where asked, in fragments of that size with pings between them (RFC 6455 §5.4)."""
        payload = text.encode("utf-8")
        size = fragment_bytes or max(len(payload), 1)
        pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        for index, piece in enumerate(pieces):
            if index > 0:
                self._send(PING, b"between")
            self._send(TEXT if index == 0 else CONTINUATION, piece, final=index == len(pieces) - 1)

    def receive_text(self) -> str:
        """The next text message. Pings are answered on the way.

        :raises Closed: the server closed, and its close was answered; or the connection broke off (1006)
        :raises ProtocolError: the server broke a rule; it was told so, and the connection is closed
        """
        try:
            return self._receive_text()
        except ProtocolError as error:
            self._send_close(error.close_code)
            self._stream.close()
            raise

    def close(self, code: int = 1000) -> Closed:
        """Close, wait for the server to answer, and return what it answered. Messages under way are dropped."""
        self._send_close(code)
        try:
            while True:
                self.receive_text()
        except Closed as closed:
            return closed

    def _receive_text(self) -> str:
        pieces: list[bytes] = []
        while True:
            frame = self._read_frame()
            if frame.opcode == PING:
                self._send(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                raise self._answer_close(frame.payload)
            elif frame.opcode != PONG:
                _check_order(frame, started=bool(pieces))
                pieces.append(frame.payload)
                if sum(map(len, pieces)) > _MAX_MESSAGE_BYTES:
                    raise ProtocolError("a message too large", 1009)
                if frame.final:
                    return _decode(b"".join(pieces))

    def _read_frame(self) -> Frame:
        first, second = self._read(2)
        final, opcode, length = bool(first & 0x80), first & 0x0F, second & 0x7F
        if first & 0x70:
            raise ProtocolError("a reserved bit without an extension (§5.2)")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError("a reserved opcode (§5.2)")
        if second & 0x80:
            raise ProtocolError("a masked frame from a server (§5.1)")
        if opcode >= CLOSE and (length > 125 or not final):
            raise ProtocolError("a control frame that is long or fragmented (§5.5)")
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
            if length < 126:
                raise ProtocolError("a length that is not in its shortest form (§5.2)")
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
            if length < 65_536 or length >> 63:
                raise ProtocolError("a length that is not in its shortest form (§5.2)")
        if length > _MAX_MESSAGE_BYTES:
            raise ProtocolError("a frame too large", 1009)
        return Frame(final, opcode, self._read(length))

    def _answer_close(self, payload: bytes) -> Closed:
        if len(payload) == 1:
            raise ProtocolError("half a close code (§5.5.1)")
        code, reason = NO_STATUS, ""
        if payload:
            (code,) = struct.unpack("!H", payload[:2])
            reason = _decode(payload[2:])
            if not is_close_code(code):
                raise ProtocolError("a close code that may not be sent (§7.4)")
        self._send_close(None if code == NO_STATUS else code)
        self._stream.close()
        return Closed(code, reason)

    def _send_close(self, code: int | None) -> None:
        if self._close_sent:
            return
        try:
            self._send(CLOSE, b"" if code is None else struct.pack("!H", code))
        except OSError:
            # The server need not wait for the answer to its close.
            return
        finally:
            self._close_sent = True

    def _send(self, opcode: int, payload: bytes, final: bool = True) -> None:
        if self._close_sent:
            return
        self._stream.settimeout(_remaining(self._deadline))
        self._stream.sendall(encode_frame(Frame(final, opcode, payload), os.urandom(4)))

    def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._stream.settimeout(_remaining(self._deadline))
            try:
                chunk = self._stream.recv(65_536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                self._stream.close()
                raise Closed(ABNORMAL, "")
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def open_websocket(url: str, timeout_seconds: float) -> WebSocket:
    """Connect and upgrade (RFC 6455 §4.1).

    :param timeout_seconds: for the whole life of the socket, not for each step
    :raises UpgradeRefused: an HTTP answer other than 101
    :raises ProtocolError: a 101 that is no WebSocket upgrade
    """
    parts = urlsplit(url)
    if parts.scheme != "ws" or parts.hostname is None:
        raise ValueError("a ws:// address is needed")
    deadline = time.monotonic() + timeout_seconds
    stream = socket.create_connection((parts.hostname, parts.port or 80), timeout=timeout_seconds)
    try:
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        stream.sendall(_upgrade_request(target, parts.netloc.rpartition("@")[2], key))
        head, unread = _read_head(stream, deadline)
        _check_upgrade(head, key)
    except BaseException:
        stream.close()
        raise
    return WebSocket(stream, deadline, unread)


def _upgrade_request(target: str, host: str, key: str) -> bytes:
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _read_head(stream: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > _MAX_HEAD_BYTES:
            raise ProtocolError("an endless answer to the upgrade")
        stream.settimeout(_remaining(deadline))
        chunk = stream.recv(4096)
        if not chunk:
            raise ProtocolError("the server hung up on the upgrade")
        received += chunk
    head, _, unread = received.partition(b"\r\n\r\n")
    return head, unread


def _check_upgrade(head: bytes, key: str) -> None:
    status_line, *header_lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if version != "HTTP/1.1" or not rest[:3].isdigit():
        raise ProtocolError("no HTTP answer to the upgrade")
    if rest[:3] != "101":
        raise UpgradeRefused(int(rest[:3]))
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in header_lines)}
    if headers.get("upgrade", "").lower() != "websocket":
        raise ProtocolError("101 without an upgrade to websocket (§4.1)")
    if "upgrade" not in [token.strip().lower() for token in headers.get("connection", "").split(",")]:
        raise ProtocolError("101 without Connection: Upgrade (§4.1)")
    if headers.get("sec-websocket-accept") != accept_value(key):
        raise ProtocolError("101 with the accept value of another key (§4.1)")
    if headers.keys() & {"sec-websocket-extensions", "sec-websocket-protocol"}:
        raise ProtocolError("101 with an extension or subprotocol that was not offered (§4.1)")


def _check_order(frame: Frame, *, started: bool) -> None:
    if frame.opcode == BINARY:
        raise ProtocolError("a binary message", 1003)
    if (frame.opcode == CONTINUATION) != started:
        raise ProtocolError("a fragment out of order (§5.4)")


def _decode(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("text that is not UTF-8 (§8.1)", 1007) from error


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the server took too long")
    return left
