"""The keys that webhooks are signed with, as `verify_keys` publishes them (RFC 7517)."""

import base64
import uuid
from typing import Final

import attrs
from cryptography.hazmat.primitives.asymmetric import ec

_COORDINATE_BYTES: Final = 66


@attrs.frozen
class WebhookKey:
    """A P-521 key for webhooks.

    Attributes:
        key_id: The `kid` in the key set, and the `keyid` of a webhook's signature.
        private_key: What a webhook is signed with.
    """

    key_id: str
    private_key: ec.EllipticCurvePrivateKey = attrs.field(repr=False)

    def jwk(self) -> dict[str, str]:
        """Return the public half as a JSON Web Key."""
        numbers = self.private_key.public_key().public_numbers()
        return {
            "kty": "EC",
            "crv": "P-521",
            "kid": self.key_id,
            "use": "sig",
            "alg": "ES512",
            "x": _coordinate(numbers.x),
            "y": _coordinate(numbers.y),
        }


def make_webhook_key() -> WebhookKey:
    """Make a fresh key."""
    return WebhookKey(str(uuid.uuid4()), ec.generate_private_key(ec.SECP521R1()))


def _coordinate(number: int) -> str:
    octets = number.to_bytes(_COORDINATE_BYTES, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
