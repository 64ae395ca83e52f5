"""Checks the golden vectors of holdfast/1: ``python3 holdfast_vectors_check.py holdfast-proof.json``.

Keys, transcript, hash, frame, the bytes of the answer and its signature are made anew here and must be the same.
Prints one line of JSON, ``{cases: {kind: count}, wrong: [{name, part}]}``, and ends with 0 where nothing is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast_proof import HoldfastWish, answer_bytes, is_proven, prove
from openclaw_proof import SeedSigner, device_id_of, encode_base64url

Json = dict[str, Any]


def wrong_parts(case: Json, device: SeedSigner, gateway: SeedSigner) -> Iterator[str]:
    """The parts of a case that are not what they must be."""
    client, dialled, challenge = case["client"], case["dialled"], case["challenge"]
    gateway_id = device_id_of(gateway.public_key)
    wish = HoldfastWish(
        gateway_id=gateway_id,
        nonce=challenge["nonce"],
        challenged_at_ms=challenge["ts"],
        client_nonce=case["clientNonce"],
        address=dialled["address"],
        port=dialled["port"],
        role=case["role"],
        scopes=tuple(case["scopes"]),
        client_id=client["id"],
        client_mode=client["mode"],
        platform=client["platform"],
    )
    proof = prove(wish, case["credential"], device)
    if proof.transcript.hex() != case["transcript"]:
        yield "transcript"
    if proof.transcript_hash.hex() != case["transcriptHash"]:
        yield "transcriptHash"
    if proof.params != case["params"]:
        yield "params"
    answer = case["answer"]
    data = answer_bytes(proof.transcript_hash, answer["connectionId"], case["role"], case["scopes"])
    if data.hex() != answer["bytes"]:
        yield "answer.bytes"
    made = {"publicKey": encode_base64url(gateway.public_key), "signature": encode_base64url(gateway.sign(data))}
    if made != answer["gateway"]:
        yield "answer.gateway"
    hello: Json = {
        "server": {"connId": answer["connectionId"]},
        "auth": {"role": case["role"], "scopes": case["scopes"]},
        "gateway": answer["gateway"],
    }
    if not is_proven(hello, gateway_id, proof):
        yield "the answer does not prove the gateway"
    widened = {**hello, "auth": {"role": case["role"], "scopes": [*case["scopes"], "operator.admin"]}}
    if is_proven(widened, gateway_id, proof) or is_proven(hello, device_id_of(device.public_key), proof):
        yield "an answer that proves too much"


def check(vectors: Json) -> Json:
    """What the program prints."""
    device, gateway = (SeedSigner(bytes.fromhex(vectors[name])) for name in ("deviceSeed", "gatewaySeed"))
    wrong = []
    for name, signer in (("deviceId", device), ("gatewayId", gateway)):
        if vectors[name] != device_id_of(signer.public_key):
            wrong.append({"name": "the keys", "part": name})
    for case in vectors["cases"]:
        wrong += [{"name": case["name"], "part": part} for part in wrong_parts(case, device, gateway)]
    return {"cases": Counter(case["credential"]["kind"] for case in vectors["cases"]), "wrong": wrong}


def main() -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    report = check(json.loads(parser.parse_args().vectors.read_text(encoding="utf-8")))
    print(json.dumps(report))
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
