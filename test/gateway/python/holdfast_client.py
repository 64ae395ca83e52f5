"""A client for a Holdfast gate that shares no line with Holdfast: standard library, own Ed25519, own WebSocket.

As a program it connects once and prints one line of JSON: ``{ok, hello | error, closeCode, closeReason, callResult?}``.
It ends with 0 where it was admitted (and its call was answered well), 1 where it was refused, 2 where it could not ask.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from forgeries import FORGERS
from holdfast_proof import HoldfastProof, HoldfastWish, is_proven, prove
from openclaw_proof import (
    ProofFields,
    ProofVersion,
    SeedSigner,
    check_alphabets,
    device_id_of,
    encode_base64url,
    proof_string,
    signed_credential,
)
from websocket_client import Closed, ProtocolError, UpgradeRefused, WebSocket, open_websocket

Json = dict[str, Any]


class Challenge(NamedTuple):
    """The first frame of a gate: a nonce for this socket, and the gate's clock in ms since the epoch."""

    nonce: str
    ts: int


@dataclass(frozen=True)
class Wish:
    """What a client says of itself and asks for."""

    role: str
    scopes: tuple[str, ...]
    token: str | None = None
    proof: ProofVersion = "v3"
    gateway_id: str | None = None
    """The pinned gateway: then the proof is ``holdfast/1``."""
    url: str = ""
    protocol: tuple[int, int] = (3, 4)
    client_id: str = "cli"
    client_mode: str = "cli"
    platform: str = "linux"
    device_family: str | None = None


@dataclass(frozen=True)
class Answer:
    """How a gate answered a call."""

    ok: bool
    payload: Any
    """Of a good answer."""
    error: Json | None
    """Of the other one."""


def read_seed(path: Path) -> bytes:
    """The seed in a key file of Holdfast's (``{format: "holdfast-key", …}``), checked against the rest of it.

    :raises ValueError: not such a file, or one whose parts do not belong together. The text never quotes the file.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError:
        raise ValueError("the key file is not JSON") from None
    if not isinstance(fields, dict) or fields.get("format") != "holdfast-key" or fields.get("version") != 1:
        raise ValueError("the file is not a holdfast-key of version 1")
    secret = fields.get("secretKey")
    if not isinstance(secret, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", secret):
        raise ValueError("the key file holds no 32-byte seed")
    seed = base64.urlsafe_b64decode(secret + "=")
    public_key = SeedSigner(seed).public_key
    if fields.get("publicKey") != encode_base64url(public_key) or fields.get("deviceId") != device_id_of(public_key):
        raise ValueError("public key or device id in the key file belong to another seed")
    return seed


def connect_params(wish: Wish, challenge: Challenge, signer: SeedSigner) -> Json:
    """The ``params`` of a ``connect``: the wish, signed at the gate's own time for the socket of this challenge."""
    device_id = device_id_of(signer.public_key)
    auth = {} if wish.token is None else {"token": wish.token}
    fields = ProofFields(
        device_id=device_id,
        client_id=wish.client_id,
        client_mode=wish.client_mode,
        role=wish.role,
        scopes=wish.scopes,
        signed_at_ms=challenge.ts,
        credential=signed_credential(auth),
        nonce=challenge.nonce,
        platform=wish.platform,
        device_family=wish.device_family or "",
    )
    check_alphabets(fields)
    signature = signer.sign(proof_string(wish.proof, fields).encode("utf-8"))
    client: Json = {"id": wish.client_id, "mode": wish.client_mode, "version": "1.0.0", "platform": wish.platform}
    if wish.device_family is not None:
        client["deviceFamily"] = wish.device_family
    return {
        "minProtocol": wish.protocol[0],
        "maxProtocol": wish.protocol[1],
        "client": client,
        "role": wish.role,
        "scopes": list(wish.scopes),
        "auth": auth,
        "device": {
            "id": device_id,
            "publicKey": encode_base64url(signer.public_key),
            "signature": encode_base64url(signature),
            "signedAt": challenge.ts,
            "nonce": challenge.nonce,
        },
    }


def holdfast_params(wish: Wish, challenge: Challenge, signer: SeedSigner) -> tuple[Json, HoldfastProof]:
    """The ``params`` of a ``connect`` by ``holdfast/1``, for the pinned gateway at the address that was dialled."""
    dialled = urlsplit(wish.url)
    proof = prove(
        HoldfastWish(
            gateway_id=wish.gateway_id or "",
            nonce=challenge.nonce,
            challenged_at_ms=challenge.ts,
            client_nonce=encode_base64url(os.urandom(32)),
            address=dialled.hostname or "",
            port=dialled.port or (443 if dialled.scheme == "wss" else 80),
            role=wish.role,
            scopes=wish.scopes,
            client_id=wish.client_id,
            client_mode=wish.client_mode,
            platform=wish.platform,
        ),
        {"kind": "device-key"} if wish.token is None else {"kind": "gateway-token", "token": wish.token},
        signer,
    )
    client = {"id": wish.client_id, "mode": wish.client_mode, "version": "1.0.0", "platform": wish.platform}
    params = {
        "minProtocol": wish.protocol[0],
        "maxProtocol": wish.protocol[1],
        "client": client,
        "role": wish.role,
        "scopes": list(wish.scopes),
        **proof.params,
    }
    return params, proof


class GateClient:
    """Calls over one socket to a gate, one at a time."""

    def __init__(self, websocket: WebSocket, fragment_bytes: int | None = None) -> None:
        """:param fragment_bytes: cut every message of ours into fragments of that many bytes"""
        self._websocket = websocket
        self._fragment_bytes = fragment_bytes
        self._calls = 0

    def receive_challenge(self) -> Challenge:
        """:raises ProtocolError: the gate began with something else"""
        frame = self._receive()
        payload = frame.get("payload")
        if frame.get("type") != "event" or frame.get("event") != "connect.challenge" or not isinstance(payload, dict):
            raise ProtocolError("the first frame is no challenge")
        nonce, ts = payload.get("nonce"), payload.get("ts")
        if not isinstance(nonce, str) or not nonce or type(ts) is not int:
            raise ProtocolError("a challenge without nonce or time")
        return Challenge(nonce, ts)

    def call(self, method: str, params: Json) -> Answer:
        """Call, and wait for the answer of the same id; events that come between are passed over.

        :raises Closed: the gate closed instead of answering
        """
        self._calls += 1
        call_id = f"py-{self._calls}"
        frame = {"type": "req", "id": call_id, "method": method, "params": params}
        self._websocket.send_text(json.dumps(frame, ensure_ascii=False, separators=(",", ":")), self._fragment_bytes)
        while True:
            reply = self._receive()
            if reply.get("type") == "res" and reply.get("id") == call_id:
                return _read_answer(reply)

    def wait_for_close(self) -> Closed:
        """What the gate closes with, after it refused."""
        try:
            while True:
                self._receive()
        except Closed as closed:
            return closed

    def close(self) -> Closed:
        """End the connection well."""
        return self._websocket.close()

    def _receive(self) -> Json:
        try:
            frame = json.loads(self._websocket.receive_text())
        except json.JSONDecodeError as error:
            raise ProtocolError("a frame that is not JSON") from error
        if not isinstance(frame, dict):
            raise ProtocolError("a frame that is no object")
        return frame


def _read_answer(reply: Json) -> Answer:
    if reply.get("ok") is True:
        return Answer(True, reply.get("payload"), None)
    error = reply.get("error")
    if reply.get("ok") is not False or not isinstance(error, dict):
        raise ProtocolError("an answer that is neither good nor an error")
    if not all(isinstance(error.get(name), str) and error[name] for name in ("code", "message")):
        raise ProtocolError("an error without code or message")
    return Answer(False, None, error)


def ask(gate: GateClient, wish: Wish, signer: SeedSigner, method: str | None) -> Json:
    """Connect, make one call where a method is given, and close. Returns the line that the program prints."""
    report: Json = {"ok": False}
    try:
        challenge = gate.receive_challenge()
        proof: HoldfastProof | None = None
        if wish.gateway_id is None:
            params = connect_params(wish, challenge, signer)
        else:
            params, proof = holdfast_params(wish, challenge, signer)
        answer = gate.call("connect", params)
        report["ok"] = answer.ok
        if answer.ok and proof is not None:
            report["gatewayProven"] = is_proven(answer.payload, wish.gateway_id or "", proof)
            if not report["gatewayProven"]:
                closed = gate.close()
                return {**report, "ok": False, "closeCode": closed.code, "closeReason": closed.reason}
        if not answer.ok:
            report["error"] = answer.error
            closed = gate.wait_for_close()
        else:
            report["hello"] = answer.payload
            if method is not None:
                result = gate.call(method, {})
                report["callResult"] = {"ok": result.ok, "payload": result.payload, "error": result.error}
                report["ok"] = result.ok
            closed = gate.close()
    except Closed as early:
        report["ok"] = False
        closed = early
    return {**report, "closeCode": closed.code, "closeReason": closed.reason}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="ws://HOST:PORT")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--seed-hex", help="of a published test key: other users can read arguments")
    key.add_argument("--key-file", type=Path, help="a device's key.json")
    parser.add_argument("--token-file", type=Path, help="the gateway token")
    parser.add_argument("--role", default="operator")
    parser.add_argument("--scopes", default="", help="joined by commas")
    parser.add_argument("--proof", choices=("v2", "v3"), default="v3")
    parser.add_argument("--gateway-id", help="the pinned gateway: prove by holdfast/1, and have it prove itself")
    parser.add_argument("--protocol", type=int, nargs=2, default=(3, 4), metavar=("MIN", "MAX"))
    parser.add_argument("--platform", default="linux")
    parser.add_argument("--device-family")
    parser.add_argument("--call", metavar="METHOD", help="call this once admitted")
    parser.add_argument("--fragment", type=int, metavar="BYTES", help="send messages in fragments, pings between them")
    parser.add_argument("--forge", choices=sorted(FORGERS), help="sign as this forger does")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    return parser.parse_args()


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    try:
        seed = bytes.fromhex(arguments.seed_hex) if arguments.key_file is None else read_seed(arguments.key_file)
        signer = (FORGERS[arguments.forge] if arguments.forge else SeedSigner)(seed)
        wish = Wish(
            role=arguments.role,
            scopes=tuple(scope for scope in arguments.scopes.split(",") if scope),
            token=arguments.token_file.read_text(encoding="utf-8").strip() if arguments.token_file else None,
            proof=arguments.proof,
            gateway_id=arguments.gateway_id,
            url=arguments.url,
            protocol=tuple(arguments.protocol),
            platform=arguments.platform,
            device_family=arguments.device_family,
        )
        with open_websocket(arguments.url, arguments.timeout) as websocket:
            gate = GateClient(websocket, arguments.fragment)
            report = ask(gate, wish, signer, arguments.call)
    except UpgradeRefused as refused:
        report = {"ok": False, "httpStatus": refused.status}
    except (OSError, ValueError, ProtocolError) as error:
        print(json.dumps({"ok": False, "inability": f"{type(error).__name__}: {error}"}))
        return 2
    print(json.dumps(report))
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
