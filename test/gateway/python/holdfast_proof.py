"""The ``holdfast/1`` proof of a device, and the check of the gateway's answer.

Written from ``packages/handshake/PROTOCOL.md`` alone; with Holdfast's own code it meets in the golden vectors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ed25519
from openclaw_proof import SeedSigner, device_id_of, encode_base64url

Json = dict[str, Any]


def field(value: str | bytes) -> bytes:
    """A value behind its length."""
    data = value.encode("utf-8") if isinstance(value, str) else value
    return len(data).to_bytes(4, "big") + data


def list_of(items: Iterable[str]) -> bytes:
    """The bytes of a list: each item as a field."""
    return b"".join(field(item) for item in items)


def hkdf(secret: str, info: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt: 32 bytes, which is one block."""
    extracted = hmac.digest(bytes(32), secret.encode("utf-8"), "sha256")
    return hmac.digest(extracted, info.encode("utf-8") + b"\x01", "sha256")


@dataclass(frozen=True)
class HoldfastWish:
    """What is proven, to whom, over which socket."""

    gateway_id: str
    nonce: str
    challenged_at_ms: int
    client_nonce: str
    address: str
    port: int
    role: str
    scopes: tuple[str, ...]
    client_id: str
    client_mode: str
    platform: str


@dataclass(frozen=True)
class HoldfastProof:
    """What goes into the frame, and what the answer is checked against."""

    transcript: bytes
    transcript_hash: bytes
    params: Json
    """``proof``, ``auth`` and ``device``."""


def prove(wish: HoldfastWish, credential: Json, signer: SeedSigner) -> HoldfastProof:
    """:param credential: ``{kind}`` with the token, the code or the chain that belongs to it"""
    kind = credential["kind"]
    public_key = encode_base64url(signer.public_key)
    code = SeedSigner(hkdf(credential["code"], "holdfast/1 join-code")) if kind == "join-code" else None
    subject: str | bytes = b""
    if code is not None:
        subject = encode_base64url(code.public_key)
    elif kind == "delegation":
        subject = list_of(credential["chain"])
    transcript = b"\x00" + list_of(
        (
            "holdfast/1 connect",
            wish.gateway_id,
            wish.nonce,
            str(wish.challenged_at_ms),
            wish.client_nonce,
            wish.address,
            str(wish.port),
            public_key,
            wish.role,
        )
    )
    transcript += field(list_of(sorted(wish.scopes)))
    transcript += list_of((wish.client_id, wish.client_mode, wish.platform, kind)) + field(subject)
    evidence = b""
    auth: Json = {"kind": kind}
    if code is not None:
        evidence = code.sign(transcript)
        auth |= {"key": encode_base64url(code.public_key), "signature": encode_base64url(evidence)}
    elif kind == "gateway-token":
        evidence = hmac.digest(hkdf(credential["token"], "holdfast/1 gateway-token"), transcript, "sha256")
        auth["mac"] = encode_base64url(evidence)
    elif kind == "delegation":
        auth["chain"] = list(credential["chain"])
    signed = transcript + field(evidence)
    device = {
        "id": device_id_of(signer.public_key),
        "publicKey": public_key,
        "signature": encode_base64url(signer.sign(signed)),
        "signedAt": wish.challenged_at_ms,
        "nonce": wish.nonce,
        "clientNonce": wish.client_nonce,
        "gatewayId": wish.gateway_id,
        "address": wish.address,
        "port": wish.port,
    }
    params = {"proof": "holdfast/1", "auth": auth, "device": device}
    return HoldfastProof(transcript, hashlib.sha256(signed).digest(), params)


def answer_bytes(transcript_hash: bytes, connection_id: str, role: str, scopes: Iterable[str]) -> bytes:
    """What a gateway signs when it admits."""
    return (
        b"\x00"
        + field("holdfast/1 admitted")
        + field(transcript_hash)
        + list_of((connection_id, role))
        + field(list_of(sorted(scopes)))
    )


def is_proven(hello: Json, gateway_id: str, proof: HoldfastProof) -> bool:
    """Is this ``hello-ok`` the pinned gateway's answer to this very proof?"""
    try:
        answer, auth = hello["gateway"], hello["auth"]
        key, signature = _decode(answer["publicKey"]), _decode(answer["signature"])
        connection_id, role, scopes = hello["server"]["connId"], auth["role"], auth["scopes"]
    except (KeyError, TypeError, ValueError):
        return False
    if len(key) != 32 or device_id_of(key) != gateway_id:
        return False
    return ed25519.verify(key, answer_bytes(proof.transcript_hash, connection_id, role, scopes), signature)


def _decode(text: str) -> bytes:
    """:raises ValueError: not base64url in its one spelling"""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        raise ValueError("not base64url in its one spelling")
    return data
