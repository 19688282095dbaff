"""Load a private key and sign with it: the one place that imports cryptography.

It does so when the first key is loaded: no other library takes as long to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import attrs

from upvest_rebalancing.errors import KeyLoadError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

P521: Final = "ecdsa-p521-sha512"
ED25519: Final = "ed25519"

_WHAT_IS_RIGHT = "a P-521 or an Ed25519 private key in PEM (SEC1 or PKCS#8) is needed"


class SigningKey(Protocol):
    """A private key that signs; it never shows itself."""

    @property
    def algorithm(self) -> str:
        """Name the algorithm: ``ecdsa-p521-sha512`` or ``ed25519``."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Sign bytes; ECDSA signatures come in DER, as Upvest asks for."""
        ...


@attrs.frozen(repr=False, eq=False)
class P521Key:
    """An ECDSA key on the curve P-521, signing with SHA-512."""

    _key: EllipticCurvePrivateKey
    _scheme: ECDSA
    algorithm: str = attrs.field(default=P521, init=False)

    def sign(self, data: bytes) -> bytes:
        """Sign bytes; the signature is in DER."""
        return self._key.sign(data, self._scheme)

    def __repr__(self) -> str:
        return f"<private key, {self.algorithm}>"


@attrs.frozen(repr=False, eq=False)
class Ed25519Key:
    """An Ed25519 key."""

    _key: Ed25519PrivateKey
    algorithm: str = attrs.field(default=ED25519, init=False)

    def sign(self, data: bytes) -> bytes:
        """Sign bytes; the signature has 64 bytes (RFC 8032)."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"<private key, {self.algorithm}>"


def load_private_key(pem: bytes | str, passphrase: bytes | str | None = None) -> SigningKey:
    """Load a private key from PEM.

    SEC1 and PKCS#8 are read, encrypted (SEC1 the old OpenSSL way) and plain, also behind an
    ``EC PARAMETERS`` block. A passphrase for a key that is not encrypted is not used.

    Args:
        pem: The PEM file's content.
        passphrase: The passphrase; None or empty for a key that is not encrypted.

    Returns:
        The key.

    Raises:
        KeyLoadError: No key, a public key, another curve or kind, a missing or a wrong passphrase,
            or damaged PEM; the message says which.
    """
    from cryptography import exceptions  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415

    pem = pem.encode() if isinstance(pem, str) else pem
    passphrase = passphrase.encode() if isinstance(passphrase, str) else passphrase
    _refuse_what_is_no_private_key(pem)
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not passphrase:
        raise _error("the private key is encrypted and no passphrase is given")
    try:
        key = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
    except exceptions.UnsupportedAlgorithm:
        text = "the private key is on a curve, or encrypted in a way, that is not supported"
        raise _error(text) from None
    except (ValueError, TypeError):
        # The library's own words are dropped: which of the two it was can only be guessed from
        # them, and they change with its versions.
        if encrypted:
            text = "the private key can't be decrypted: the passphrase is wrong, or the PEM damaged"
            raise _error(text) from None
        raise _error(f"the PEM is damaged; {_WHAT_IS_RIGHT}") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Key(key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if isinstance(key.curve, ec.SECP521R1):
            return P521Key(key, ec.ECDSA(hashes.SHA512()))
        raise _error(f"the private key is on the curve {key.curve.name}; {_WHAT_IS_RIGHT}")
    kind = type(key).__name__.removesuffix("PrivateKey").strip("_")
    raise _error(f"the private key is of the kind {kind}; {_WHAT_IS_RIGHT}")


def _refuse_what_is_no_private_key(pem: bytes) -> None:
    if b"OPENSSH PRIVATE KEY-----" in pem:
        text = "the private key is in OpenSSH's own format; ssh-keygen -p -m PKCS8 -f FILE turns it"
        raise _error(f"{text} into one that can be used")
    if b"PRIVATE KEY-----" in pem:
        return
    if b"PUBLIC KEY-----" in pem:
        text = "this is a public key; its private key is needed"
    elif b"CERTIFICATE-----" in pem:
        text = "this is a certificate; the private key that belongs to it is needed"
    elif not pem.strip():
        text = "the private key is empty"
    else:
        text = "this is no PEM: '-----BEGIN … PRIVATE KEY-----' is missing"
    raise _error(f"{text}; {_WHAT_IS_RIGHT}")


def _error(text: str) -> KeyLoadError:
    return KeyLoadError(text, problems=(text,))
