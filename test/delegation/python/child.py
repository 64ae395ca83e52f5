"""A child in Python: it takes what its parent gave it, as DELEGATION.md says, and connects by it over holdfast/1.

``child.py MODULES PAGE_CODE``: where the tests' own Ed25519 and WebSocket lie, and the file with the code of the page.
It prints one line of JSON: ``{ok, deviceId?, scopes?, refusal?}``.
"""

import base64
import hashlib
import json
import os
import runpy
import secrets
import struct
import sys
from urllib.parse import urlsplit

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import ed25519  # noqa: E402
from websocket_client import open_websocket  # noqa: E402


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(value):
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def prefixed(field):
    data = field.encode() if isinstance(field, str) else field
    return struct.pack(">I", len(data)) + data


def joined(fields):
    return b"".join(map(prefixed, fields))


take_delegation = runpy.run_path(sys.argv[2])["take_delegation"]
given = take_delegation()
seed, public_key = raw(given["secretKey"]), raw(given["publicKey"])
assert ed25519.public_key(seed) == public_key
try:
    os.read(3, 1)
    raise SystemExit("the descriptor is still open")
except OSError:
    pass

client = {"id": "cli", "mode": "cli", "platform": "linux", "version": "1.0.0"}
url = urlsplit(given["url"])
nonce = text(secrets.token_bytes(32))
with open_websocket(given["url"], 20) as socket:
    challenge = json.loads(socket.receive_text())["payload"]
    transcript = b"\0" + joined([
        "holdfast/1 connect", given["gatewayId"], challenge["nonce"], str(challenge["ts"]), nonce,
        url.hostname, str(url.port), given["publicKey"], given["role"], joined(sorted(given["scopes"])),
        client["id"], client["mode"], client["platform"], "delegation", joined(given["chain"]),
    ])
    signed = transcript + prefixed(b"")
    device = {
        "id": hashlib.sha256(public_key).hexdigest(), "publicKey": given["publicKey"],
        "signature": text(ed25519.sign(seed, signed)), "signedAt": challenge["ts"], "nonce": challenge["nonce"],
        "clientNonce": nonce, "gatewayId": given["gatewayId"], "address": url.hostname, "port": url.port,
    }
    params = {
        "minProtocol": 3, "maxProtocol": 4, "client": client, "role": given["role"], "scopes": given["scopes"],
        "proof": "holdfast/1", "auth": {"kind": "delegation", "chain": given["chain"]}, "device": device,
    }
    socket.send_text(json.dumps({"type": "req", "id": "1", "method": "connect", "params": params}))
    answer = json.loads(socket.receive_text())
    if not answer["ok"]:
        print(json.dumps({"ok": False, "refusal": answer["error"].get("details")}))
        raise SystemExit(1)
    hello = answer["payload"]
    outcome = b"\0" + joined([
        "holdfast/1 admitted", hashlib.sha256(signed).digest(), hello["server"]["connId"], given["role"],
        joined(sorted(hello["auth"]["scopes"])),
    ])
    gateway_key = raw(hello["gateway"]["publicKey"])
    assert hashlib.sha256(gateway_key).hexdigest() == given["gatewayId"]
    assert ed25519.verify(gateway_key, outcome, raw(hello["gateway"]["signature"]))
    print(json.dumps({"ok": True, "scopes": hello["auth"]["scopes"]}))
