"""Public keys, their algorithms, and the shapes that signatures have."""

from typing import Final

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_RAW_P521_BYTES: Final = 132
_ED25519_BYTES: Final = 64


@attrs.frozen
class VerifyingKey:
    """A client's public key, as it is registered under a key id.

    Attributes:
        key_id: The `keyid` that signatures name it by.
        public_key: A P-521 or an Ed25519 key.
        client_id: The only client that may sign with it, in lower case; None for any.
    """

    key_id: str
    public_key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey = attrs.field(repr=False)
    client_id: str | None = None

    @property
    def algorithm(self) -> str:
        """The value that an `alg` parameter has to have, where there is one."""
        if isinstance(self.public_key, ed25519.Ed25519PublicKey):
            return "ed25519"
        return "ecdsa-p521-sha512"

    @property
    def is_elliptic(self) -> bool:
        """Whether it signs with ECDSA, rather than with Ed25519."""
        return isinstance(self.public_key, ec.EllipticCurvePublicKey)

    def verifies(
        self, signature: bytes, base: bytes, algorithm: hashes.HashAlgorithm | None = None
    ) -> bool:
        """Tell whether a signature of some bytes was made with this key.

        Args:
            signature: DER for P-521, 64 bytes for Ed25519.
            base: What was signed.
            algorithm: ECDSA's hash, SHA-512 unless told.
        """
        try:
            if isinstance(self.public_key, ed25519.Ed25519PublicKey):
                self.public_key.verify(signature, base)
            else:
                self.public_key.verify(signature, base, ec.ECDSA(algorithm or hashes.SHA512()))
        except InvalidSignature:
            return False
        return True

    def shape_problem(self, signature: bytes) -> str | None:
        """Say what is wrong with a signature's encoding, before any cryptography.

        Args:
            signature: The bytes between the colons of the `signature` header.

        Returns:
            A sentence, or None if the encoding is the right one for this key.
        """
        length = len(signature)
        if not self.is_elliptic:
            if length == _ED25519_BYTES:
                return None
            return (
                f"the signature has {length} bytes, but an Ed25519 signature has "
                f"{_ED25519_BYTES}; keyid {self.key_id!r} is an Ed25519 key"
            )
        try:
            decode_dss_signature(signature)
        except ValueError:
            pass
        else:
            return None
        if length == _RAW_P521_BYTES:
            return (
                f"the signature is raw r||s ({_RAW_P521_BYTES} bytes, as IEEE P1363 and JWS "
                "write it): send DER (an ASN.1 SEQUENCE of r and s)"
            )
        if length == _ED25519_BYTES:
            return (
                f"the signature has {_ED25519_BYTES} bytes, as one of Ed25519, "
                f"but keyid {self.key_id!r} is a P-521 key"
            )
        return (
            f"the signature has {length} bytes that are not DER: "
            "an ECDSA signature is an ASN.1 SEQUENCE of r and s"
        )


def load_verifying_key(
    key_id: str, public_key_pem: bytes, client_id: str | None = None
) -> VerifyingKey:
    """Read a public key.

    Args:
        key_id: The `keyid` to register it under.
        public_key_pem: A PEM SubjectPublicKeyInfo.
        client_id: The only client that may sign with it, in lower case; None for any.

    Raises:
        ValueError: It is neither a P-521 nor an Ed25519 public key, or the key id is empty.
    """
    if not key_id:
        message = "key_id='': must not be empty"
        raise ValueError(message)
    key = load_pem_public_key(public_key_pem)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return VerifyingKey(key_id=key_id, public_key=key, client_id=client_id)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP521R1):
        return VerifyingKey(key_id=key_id, public_key=key, client_id=client_id)
    message = f"public_key_pem of {key_id!r}: must be a P-521 or an Ed25519 public key"
    raise ValueError(message)
