"""The WebSocket client of this folder against the examples of RFC 6455 and against servers that break its rules."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import unittest
from collections.abc import Iterator

import websocket_client as ws
from websocket_client import Closed, Frame, ProtocolError, UpgradeRefused, WebSocket

MASKING_KEY = bytes.fromhex("37fa213d")


@contextlib.contextmanager
def connected(server_bytes: bytes = b"") -> Iterator[tuple[WebSocket, socket.socket]]:
    """An open client, and the server's end, which has already sent these bytes."""
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(5)
        server.sendall(server_bytes)
        yield WebSocket(client, time.monotonic() + 5), server


def read_client_frame(stream: socket.socket) -> tuple[bool, int, bytes]:
    """One frame of the client's, unmasked: (final, opcode, payload)."""
    first, second = _read(stream, 2)
    assert second & 0x80, "a client must mask (RFC 6455 §5.1)"
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", _read(stream, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", _read(stream, 8))
    key = _read(stream, 4)
    return bool(first & 0x80), first & 0x0F, ws.mask(_read(stream, length), key)


def _read(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = stream.recv(count - len(data))
        assert chunk, "the client hung up"
        data += chunk
    return data


class Rfc6455Examples(unittest.TestCase):
    """RFC 6455 §1.3 and §5.7."""

    def test_accept_value(self) -> None:
        self.assertEqual(ws.accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_masked_frames(self) -> None:
        hello = ws.encode_frame(Frame(True, ws.TEXT, b"Hello"), MASKING_KEY)
        self.assertEqual(hello.hex(), "818537fa213d7f9f4d5158")
        pong = ws.encode_frame(Frame(True, ws.PONG, b"Hello"), MASKING_KEY)
        self.assertEqual(pong.hex(), "8a8537fa213d7f9f4d5158")

    def test_lengths_take_their_shortest_form(self) -> None:
        for length, head in ((125, "82fd"), (126, "82fe007e"), (65_535, "82feffff"), (65_536, "82ff0000000000010000")):
            encoded = ws.encode_frame(Frame(True, ws.BINARY, bytes(length)), MASKING_KEY)
            self.assertEqual(encoded[: len(head) // 2].hex(), head)
            self.assertEqual(len(encoded), len(head) // 2 + 4 + length)

    def test_unmasked_text_is_read(self) -> None:
        with connected(bytes.fromhex("810548656c6c6f")) as (client, _):
            self.assertEqual(client.receive_text(), "Hello")

    def test_fragments_with_a_ping_between_are_one_message_and_the_ping_is_answered(self) -> None:
        with connected(bytes.fromhex("010348656c" + "890548656c6c6f" + "80026c6f")) as (client, server):
            self.assertEqual(client.receive_text(), "Hello")
            self.assertEqual(read_client_frame(server), (True, ws.PONG, b"Hello"))


class Sending(unittest.TestCase):
    """RFC 6455 §5.4."""

    def test_a_message_goes_out_in_fragments_with_pings_between(self) -> None:
        with connected() as (client, server):
            client.send_text("abcde", fragment_bytes=2)
            frames = [read_client_frame(server) for _ in range(5)]
        ping = (True, ws.PING, b"between")
        self.assertEqual(
            frames,
            [(False, ws.TEXT, b"ab"), ping, (False, ws.CONTINUATION, b"cd"), ping, (True, ws.CONTINUATION, b"e")],
        )

    def test_each_frame_has_a_masking_key_of_its_own(self) -> None:
        with connected() as (client, server):
            client.send_text("aaaa")
            client.send_text("aaaa")
            self.assertNotEqual(_read(server, 10), _read(server, 10))


class Closing(unittest.TestCase):
    """RFC 6455 §5.5.1 and §7."""

    def test_a_close_is_answered_with_its_code(self) -> None:
        with connected(b"\x88\x09" + struct.pack("!H", 1008) + b"refused") as (client, server):
            with self.assertRaises(Closed) as caught:
                client.receive_text()
            self.assertEqual((caught.exception.code, caught.exception.reason), (1008, "refused"))
            self.assertEqual(read_client_frame(server), (True, ws.CLOSE, struct.pack("!H", 1008)))

    def test_no_code_and_no_close_frame_are_told_apart(self) -> None:
        with connected(b"\x88\x00") as (client, _):
            with self.assertRaises(Closed) as caught:
                client.receive_text()
            self.assertEqual(caught.exception.code, ws.NO_STATUS)
        with connected() as (client, server):
            server.close()
            with self.assertRaises(Closed) as caught:
                client.receive_text()
            self.assertEqual(caught.exception.code, ws.ABNORMAL)

    def test_closing_first_waits_for_the_answer(self) -> None:
        with connected(b"\x81\x01x" + b"\x88\x02\x03\xe8") as (client, server):
            self.assertEqual(client.close().code, 1000)
            self.assertEqual(read_client_frame(server), (True, ws.CLOSE, b"\x03\xe8"))


class RulesThatServersBreak(unittest.TestCase):
    """Each broken rule ends the connection, and the server is told with which code it failed (RFC 6455 §7.4.1)."""

    def test_each(self) -> None:
        cases = {
            "masked": (ws.encode_frame(Frame(True, ws.TEXT, b"x"), MASKING_KEY), 1002),
            "reserved bit": (b"\xc1\x01x", 1002),
            "reserved opcode": (b"\x83\x00", 1002),
            "continuation of nothing": (b"\x80\x01x", 1002),
            "text within a message": (b"\x01\x01x\x81\x01y", 1002),
            "fragmented ping": (b"\x09\x01x", 1002),
            "long ping": (b"\x89\x7e\x00\x7e" + bytes(126), 1002),
            "16-bit length of a short frame": (b"\x81\x7e\x00\x7d" + bytes(125), 1002),
            "64-bit length of a middling frame": (b"\x81\x7f" + struct.pack("!Q", 65_535), 1002),
            "length with the highest bit": (b"\x81\x7f" + struct.pack("!Q", 1 << 63), 1002),
            "too large": (b"\x81\x7f" + struct.pack("!Q", 1 << 40), 1009),
            "half a close code": (b"\x88\x01\x03", 1002),
            "close code 1005": (b"\x88\x02\x03\xed", 1002),
            "close code 999": (b"\x88\x02\x03\xe7", 1002),
            "binary": (b"\x82\x01x", 1003),
            "not UTF-8": (b"\x81\x02\xc3\x28", 1007),
            "surrogate in UTF-8": (b"\x81\x03\xed\xa0\x80", 1007),
        }
        for name, (server_bytes, code) in cases.items():
            with self.subTest(name), connected(server_bytes) as (client, server):
                with self.assertRaises(ProtocolError):
                    client.receive_text()
                self.assertEqual(read_client_frame(server), (True, ws.CLOSE, struct.pack("!H", code)))


class Upgrading(unittest.TestCase):
    """RFC 6455 §4.1."""

    def upgrade(self, answer: str) -> None:
        """Open a client against a server that answers the upgrade so; ``{accept}`` stands for the right value."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=_answer_once, args=(listener, answer))
            thread.start()
            try:
                with ws.open_websocket(f"ws://127.0.0.1:{listener.getsockname()[1]}", 5):
                    pass
            finally:
                thread.join()

    def test_a_right_answer_passes(self) -> None:
        self.upgrade(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n"
            "Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )

    def test_a_status_other_than_101_is_told(self) -> None:
        with self.assertRaises(UpgradeRefused) as caught:
            self.upgrade("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(caught.exception.status, 403)

    def test_wrong_answers_are_refused(self) -> None:
        start = "HTTP/1.1 101 Switching Protocols\r\n"
        right = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        for answer in (
            start + right + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            start + right + "\r\n",
            start + "Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
            start + "Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
            start + right + "Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "",
        ):
            with self.subTest(answer), self.assertRaises(ProtocolError):
                self.upgrade(answer)


def _answer_once(listener: socket.socket, answer: str) -> None:
    stream, _ = listener.accept()
    with stream:
        request = b""
        while b"\r\n\r\n" not in request:
            chunk = stream.recv(4096)
            assert chunk, "the client hung up"
            request += chunk
        lines = dict(line.split(": ", 1) for line in request.decode("ascii").split("\r\n")[1:] if line)
        stream.sendall(answer.replace("{accept}", ws.accept_value(lines["Sec-WebSocket-Key"])).encode("ascii"))


if __name__ == "__main__":
    unittest.main()
