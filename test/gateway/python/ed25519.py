"""Ed25519 (RFC 8032 §5.1), written from the definitions with plain integers.

For tests only: nothing here runs in constant time, so no key that matters may be used with it. It exists so that
Holdfast's signed bytes are checked by arithmetic that shares nothing with the arithmetic of Node.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

FIELD_PRIME = 2**255 - 19
"""p: coordinates are integers modulo this (RFC 8032 §5.1)."""

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""L: the order of the base point (RFC 8032 §5.1)."""

CURVE_D = -121665 * pow(121666, -1, FIELD_PRIME) % FIELD_PRIME
"""d of the curve -x² + y² = 1 + d·x²·y² (RFC 8032 §5.1)."""

_SQRT_MINUS_ONE = pow(2, (FIELD_PRIME - 1) // 4, FIELD_PRIME)


class Point(NamedTuple):
    """A point in extended homogeneous coordinates: x = X/Z, y = Y/Z, x·y = T/Z (RFC 8032 §5.1.4)."""

    x: int
    y: int
    z: int
    t: int


NEUTRAL = Point(0, 1, 1, 0)


def add(left: Point, right: Point) -> Point:
    """The sum of two points; complete, so it serves for doubling too (RFC 8032 §5.1.4)."""
    p = FIELD_PRIME
    a = (left.y - left.x) * (right.y - right.x) % p
    b = (left.y + left.x) * (right.y + right.x) % p
    c = 2 * CURVE_D * left.t * right.t % p
    d = 2 * left.z * right.z % p
    e, f, g, h = b - a, d - c, d + c, b + a
    return Point(e * f % p, g * h % p, f * g % p, e * h % p)


def multiply(scalar: int, point: Point) -> Point:
    """[scalar]point, by doubling and adding, for any scalar >= 0."""
    result = NEUTRAL
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def negate(point: Point) -> Point:
    """-point."""
    return Point(-point.x % FIELD_PRIME, point.y, point.z, -point.t % FIELD_PRIME)


def encode_point(point: Point) -> bytes:
    """32 bytes: y, little-endian, with the lowest bit of x as the highest bit (RFC 8032 §5.1.2)."""
    inverse = pow(point.z, -1, FIELD_PRIME)
    x, y = point.x * inverse % FIELD_PRIME, point.y * inverse % FIELD_PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(encoded: bytes) -> Point | None:
    """The point that 32 bytes spell, or None: y not below p, not on the curve, or "minus zero" (RFC 8032 §5.1.3)."""
    if len(encoded) != 32:
        return None
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= FIELD_PRIME:
        return None
    x = _recover_x(y, sign)
    return None if x is None else Point(x, y, 1, x * y % FIELD_PRIME)


def _recover_x(y: int, sign: int) -> int | None:
    p = FIELD_PRIME
    u, v = (y * y - 1) % p, (CURVE_D * y * y + 1) % p
    x = u * pow(v, 3, p) * pow(u * pow(v, 7, p), (p - 5) // 8, p) % p
    if v * x * x % p != u:
        x = x * _SQRT_MINUS_ONE % p
    if v * x * x % p != u:
        return None
    if x == 0 and sign == 1:
        return None
    return p - x if x & 1 != sign else x


def _base_point() -> Point:
    point = decode_point((4 * pow(5, -1, FIELD_PRIME) % FIELD_PRIME).to_bytes(32, "little"))
    assert point is not None
    return point


BASE_POINT = _base_point()
"""B: y = 4/5 and x even (RFC 8032 §5.1)."""


def has_small_order(point: Point) -> bool:
    """Is this one of the eight points whose order divides the cofactor?"""
    return encode_point(multiply(8, point)) == encode_point(NEUTRAL)


def _hash_to_scalar(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % GROUP_ORDER


def _expand(seed: bytes) -> tuple[int, bytes]:
    """The secret scalar and the prefix of a seed (RFC 8032 §5.1.5)."""
    if len(seed) != 32:
        raise ValueError("a seed has 32 bytes")
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed (RFC 8032 §5.1.5)."""
    return encode_point(multiply(_expand(seed)[0], BASE_POINT))


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of a message (RFC 8032 §5.1.6)."""
    scalar, prefix = _expand(seed)
    own = encode_point(multiply(scalar, BASE_POINT))
    nonce = _hash_to_scalar(prefix, message)
    commitment = encode_point(multiply(nonce, BASE_POINT))
    response = (nonce + _hash_to_scalar(commitment, own, message) * scalar) % GROUP_ORDER
    return commitment + response.to_bytes(32, "little")


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is good, without cofactor and as strictly as Holdfast's gate reads them.

    Key and R canonical and not of small order, S below L, and encode([S]B - [k]A) equal to R byte for byte
    (RFC 8032 §5.1.7). Never raises on hostile input.
    """
    return _is_good(key, message, signature, strict=True)


def verify_leniently(key: bytes, message: bytes, signature: bytes) -> bool:
    """The bare equation of RFC 8032 §5.1.7: S unbounded, small order welcome. Shows what strictness is for."""
    return _is_good(key, message, signature, strict=False)


def _is_good(key: bytes, message: bytes, signature: bytes, *, strict: bool) -> bool:
    if len(signature) != 64:
        return False
    commitment, response = signature[:32], int.from_bytes(signature[32:], "little")
    point, commitment_point = decode_point(key), decode_point(commitment)
    if point is None or commitment_point is None:
        return False
    if strict and (response >= GROUP_ORDER or has_small_order(point) or has_small_order(commitment_point)):
        return False
    challenge = _hash_to_scalar(commitment, key, message)
    expected = add(multiply(response, BASE_POINT), multiply(challenge, negate(point)))
    return encode_point(expected) == commitment
