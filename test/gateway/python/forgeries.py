"""Signers that cheat, each in one way that a careless verifier lets pass."""

from __future__ import annotations

import os

import ed25519
from openclaw_proof import SeedSigner


class FlippedBit(SeedSigner):
    """A good signature with its first bit flipped."""

    def sign(self, message: bytes) -> bytes:
        signature = super().sign(message)
        return bytes([signature[0] ^ 1]) + signature[1:]


class OtherMessage(SeedSigner):
    """A good signature by the right key, over a string that says one character more."""

    def sign(self, message: bytes) -> bytes:
        return super().sign(message + b"x")


class UnreducedResponse(SeedSigner):
    """A good signature whose S has the group order added: the same equation holds (malleability, RFC 8032 §8.4)."""

    def sign(self, message: bytes) -> bytes:
        signature = super().sign(message)
        response = int.from_bytes(signature[32:], "little") + ed25519.GROUP_ORDER
        return signature[:32] + response.to_bytes(32, "little")


class SmallOrderKey(SeedSigner):
    """The neutral point as public key: R = [S]B satisfies the bare equation for *every* message, without any secret."""

    @property
    def public_key(self) -> bytes:
        return ed25519.encode_point(ed25519.NEUTRAL)

    def sign(self, message: bytes) -> bytes:
        response = int.from_bytes(os.urandom(64), "little") % ed25519.GROUP_ORDER
        commitment = ed25519.multiply(response, ed25519.BASE_POINT)
        return ed25519.encode_point(commitment) + response.to_bytes(32, "little")


FORGERS: dict[str, type[SeedSigner]] = {
    "flipped-bit": FlippedBit,
    "other-message": OtherMessage,
    "unreduced-response": UnreducedResponse,
    "small-order-key": SmallOrderKey,
}
"""The forgers by name. Each is made from the seed of the honest key."""
