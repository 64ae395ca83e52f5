"""The device half of a ``connect``: the string that an OpenClaw device signs, in its versions ``v2`` and ``v3``.

Written from the documented order of the fields, not from Holdfast's code; the two meet in the golden vectors.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ed25519

ProofVersion = Literal["v2", "v3"]

_NAME = re.compile(r"[a-z0-9._:-]{1,64}")
_METADATA = re.compile(r"[\x20-\x7b\x7d\x7e]{0,64}")
_SECRET = re.compile(r"[\x21-\x7b\x7d\x7e]{0,512}")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True)
class ProofFields:
    """The fields of the signed string, as they travel in the frame."""

    device_id: str
    client_id: str
    client_mode: str
    role: str
    scopes: tuple[str, ...]
    """In the order in which they are sent."""
    signed_at_ms: int
    credential: str
    """The credential as sent; empty where there is none."""
    nonce: str
    platform: str = ""
    device_family: str = ""


def encode_base64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def device_id_of(public_key: bytes) -> str:
    """The id of a device: SHA-256 of its raw public key, as lower-case hex."""
    return hashlib.sha256(public_key).hexdigest()


def fold_metadata(value: str) -> str:
    """Trimmed, and lower case in ASCII only: "ÄX" becomes "Äx"."""
    return value.strip().translate(_ASCII_LOWER)


def signed_credential(auth: Mapping[str, str | None]) -> str:
    """The one credential of a frame's ``auth`` that is signed: token, else device token, else bootstrap token."""
    for name in ("token", "deviceToken", "bootstrapToken"):
        value = auth.get(name)
        if value is not None:
            return value
    return ""


def proof_string(version: ProofVersion, fields: ProofFields) -> str:
    """The signed string: fields joined by ``|``, scopes by ``,``; ``v3`` adds the folded platform and device family."""
    parts = [
        version,
        fields.device_id,
        fields.client_id,
        fields.client_mode,
        fields.role,
        ",".join(fields.scopes),
        str(fields.signed_at_ms),
        fields.credential,
        fields.nonce,
    ]
    if version == "v3":
        parts += [fold_metadata(fields.platform), fold_metadata(fields.device_family)]
    return "|".join(parts)


def check_alphabets(fields: ProofFields) -> None:
    """Refuse to sign where the joined string would be ambiguous.

    :raises ValueError: it names the field, never what stands there
    """
    for name in (fields.client_id, fields.client_mode, fields.role, *fields.scopes):
        if not _NAME.fullmatch(name):
            raise ValueError("a client id, client mode, role or scope outside its alphabet")
    if not _METADATA.fullmatch(fields.platform) or not _METADATA.fullmatch(fields.device_family):
        raise ValueError("a platform or device family outside its alphabet")
    if not _SECRET.fullmatch(fields.credential):
        raise ValueError("a credential outside its alphabet")


class SeedSigner:
    """The key of a device, made from its seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._public_key = ed25519.public_key(seed)

    @property
    def public_key(self) -> bytes:
        """32 bytes (RFC 8032 §5.1.5)."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032 §5.1.6)."""
        return ed25519.sign(self._seed, message)
