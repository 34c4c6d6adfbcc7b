"""The virtual host and the two users of the private broker, and their passwords."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from infra.settings import keep_private

VHOST = "tidings"
#: Whom the programs connect as: everything in the virtual host, nothing else.
USER = "tidings"
#: Whom people and tests use in the management UI and its API.
OPERATOR = "operator"
_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


def passwords(file: Path) -> dict[str, str]:
    """Password by user name: made once, kept in a file that only its owner can read."""
    if not file.exists():
        keep_private(file, json.dumps({name: secrets.token_urlsafe(24) for name in (USER, OPERATOR)}))
    known: dict[str, str] = json.loads(file.read_text())
    return known


def definitions(secret: Mapping[str, str]) -> str:
    """What the broker makes at each boot (JSON for `load_definitions`); it then makes neither `guest` nor `/`."""
    tags: dict[str, list[str]] = {USER: [], OPERATOR: ["administrator"]}
    return json.dumps(
        {
            "vhosts": [{"name": VHOST}],
            "users": [{"name": name, "tags": tags[name], **_hashed(password)} for name, password in secret.items()],
            "permissions": [{"user": name, "vhost": VHOST, **_EVERYTHING} for name in secret],
        }
    )


def _hashed(password: str) -> dict[str, str]:
    """RabbitMQ's own scheme: base64 of a salt of four bytes and of SHA-256 over salt and password."""
    salt = secrets.token_bytes(4)
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {"hashing_algorithm": "rabbit_password_hashing_sha256", "password_hash": digest}
