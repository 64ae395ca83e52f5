"""Checks golden vectors of the OpenClaw proofs: ``python3 vectors_check.py openclaw-proof.json``.

Public key, device id, and each case's payload and signature are made anew here and must be the same bytes.
Prints one line of JSON, ``{cases: {v2, v3}, wrong: [{name, part}]}``, and ends with 0 where nothing is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ed25519
from openclaw_proof import (
    ProofFields,
    SeedSigner,
    check_alphabets,
    device_id_of,
    encode_base64url,
    proof_string,
    signed_credential,
)

Json = dict[str, Any]


def fields_of(case: Json, device_id: str) -> ProofFields:
    """The signed fields of a case."""
    client = case["client"]
    return ProofFields(
        device_id=device_id,
        client_id=client["id"],
        client_mode=client["mode"],
        role=case["role"],
        scopes=tuple(case["scopes"]),
        signed_at_ms=case["signedAtMs"],
        credential=signed_credential(case["auth"]),
        nonce=case["nonce"],
        platform=client["platform"],
        device_family=client["deviceFamily"] or "",
    )


def is_sayable(fields: ProofFields) -> bool:
    """Does every field keep to its alphabet?"""
    try:
        check_alphabets(fields)
    except ValueError:
        return False
    return True


def wrong_parts(case: Json, signer: SeedSigner) -> Iterator[str]:
    """The parts of a case that are not what they must be."""
    fields = fields_of(case, device_id_of(signer.public_key))
    payload = proof_string(case["version"], fields)
    signature = signer.sign(payload.encode("utf-8"))
    if case["payload"] != payload:
        yield "payload"
    if case["signature"] != encode_base64url(signature):
        yield "signature"
    if not ed25519.verify(signer.public_key, payload.encode("utf-8"), signature):
        yield "verification"
    if case["sayable"] != is_sayable(fields):
        yield "sayable"


def check(vectors: Json) -> Json:
    """What the program prints."""
    signer = SeedSigner(bytes.fromhex(vectors["seed"]))
    wrong = []
    if vectors["publicKey"] != encode_base64url(signer.public_key):
        wrong.append({"name": "the key", "part": "publicKey"})
    if vectors["deviceId"] != device_id_of(signer.public_key):
        wrong.append({"name": "the key", "part": "deviceId"})
    for case in vectors["cases"]:
        wrong += [{"name": case["name"], "part": part} for part in wrong_parts(case, signer)]
    return {"cases": Counter(case["version"] for case in vectors["cases"]), "wrong": wrong}


def main() -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    report = check(json.loads(parser.parse_args().vectors.read_text(encoding="utf-8")))
    print(json.dumps(report))
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
