"""The package http-message-signatures (RFC 9421), made to sign as Upvest asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import attrs
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver
from http_message_signatures.algorithms import ED25519, HTTPSignatureAlgorithm

from benchmarks import pages
from benchmarks.fixtures import CLIENT_ID, KEY_ID, Key

_COVERED = (
    "@method",
    "@path",
    "accept",
    "authorization",
    "upvest-client-id",
    "upvest-api-version",
)
_LIFETIME = timedelta(seconds=30)


@attrs.define
class Message:
    """A request as the package wants to have it."""

    method: str
    url: str
    headers: dict[str, str]


class _Resolver(HTTPSignatureKeyResolver):
    def __init__(self, key: Key) -> None:
        self._key = key

    def resolve_public_key(self, key_id: str) -> NoReturn:
        raise LookupError(f"nothing is verified here, with {key_id} or without")

    def resolve_private_key(self, key_id: str) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
        del key_id
        return self._key.private


def signing(key: Key, url: str) -> Callable[[], object]:
    """Make a function that builds and signs one GET of a URL."""

    class P521(HTTPSignatureAlgorithm):
        """ECDSA on P-521 with signatures in DER, which the package does not have."""

        algorithm_id = "ecdsa-p521-sha512"

        def __init__(self, public_key: object = None, private_key: object = None) -> None:
            del public_key, private_key

        def sign(self, message: bytes) -> bytes:
            return key.sign(message)

    signer = HTTPMessageSigner(
        signature_algorithm=P521 if key.name == "P-521" else ED25519,
        key_resolver=_Resolver(key),
    )

    def sign() -> object:
        message = Message(
            method="GET",
            url=url,
            headers={
                "accept": "application/json",
                "authorization": f"Bearer {pages.TOKEN}",
                "upvest-client-id": CLIENT_ID,
                "upvest-api-version": "1",
            },
        )
        now = datetime.now(UTC)
        signer.sign(
            message,
            key_id=KEY_ID,
            created=now,
            expires=now + _LIFETIME,
            nonce=str(uuid.uuid4()),
            label="sig1",
            include_alg=False,
            covered_component_ids=_COVERED,
        )
        return message.headers

    return sign
