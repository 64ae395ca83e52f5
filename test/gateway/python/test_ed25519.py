"""The Ed25519 of this folder against RFC 8032 §7.1, and the forgeries against it."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path

import ed25519
from forgeries import FORGERS

VECTORS = Path(__file__).with_name("rfc8032_vectors.json")


class Rfc8032Vectors(unittest.TestCase):
    """RFC 8032 §7.1."""

    def test_every_vector(self) -> None:
        cases = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
        self.assertEqual(len(cases), 5)
        for case in cases:
            with self.subTest(case["name"]):
                names = ("seed", "publicKey", "message", "signature")
                seed, key, message, signature = (bytes.fromhex(case[name]) for name in names)
                self.assertEqual(ed25519.public_key(seed), key)
                self.assertEqual(ed25519.sign(seed, message), signature)
                self.assertTrue(ed25519.verify(key, message, signature))
                self.assertFalse(ed25519.verify(key, message + b"\0", signature))


class Points(unittest.TestCase):
    """RFC 8032 §5.1.2 and §5.1.3."""

    def test_base_point_is_the_one_of_the_rfc(self) -> None:
        self.assertEqual(ed25519.encode_point(ed25519.BASE_POINT).hex(), "58" + "66" * 31)
        order = ed25519.multiply(ed25519.GROUP_ORDER, ed25519.BASE_POINT)
        self.assertEqual(ed25519.encode_point(order), ed25519.encode_point(ed25519.NEUTRAL))

    def test_other_spellings_of_a_point_are_none(self) -> None:
        minus_zero = (1 | 1 << 255).to_bytes(32, "little")
        above_prime = (ed25519.FIELD_PRIME + 1).to_bytes(32, "little")
        off_curve = (2).to_bytes(32, "little")
        for spelling in (minus_zero, above_prime, off_curve, b"", bytes(31), bytes(33)):
            self.assertIsNone(ed25519.decode_point(spelling), spelling.hex())


class Forgeries(unittest.TestCase):
    """What the strict reading refuses, and that two of the forgeries would pass without it."""

    def test_no_forgery_is_good(self) -> None:
        for name, forger in FORGERS.items():
            with self.subTest(name):
                signer = forger(os.urandom(32))
                self.assertFalse(ed25519.verify(signer.public_key, b"message", signer.sign(b"message")))

    def test_strictness_alone_refuses_two_of_them(self) -> None:
        passing = set()
        for name, forger in FORGERS.items():
            signer = forger(os.urandom(32))
            if ed25519.verify_leniently(signer.public_key, b"message", signer.sign(b"message")):
                passing.add(name)
        self.assertEqual(passing, {"unreduced-response", "small-order-key"})


if __name__ == "__main__":
    unittest.main()
