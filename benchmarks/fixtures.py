"""Keys, settings and clients that the rows have in common."""

from __future__ import annotations

from typing import Final, Self, Unpack

import aiohttp
import attrs
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP521R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from benchmarks import pages
from upvest_rebalancing import RebalancingClient
from upvest_rebalancing.options import ClientOptions
from upvest_rebalancing.protocol.signatures import Signer
from upvest_rebalancing.settings import Settings

CLIENT_ID: Final = "ebabcf4d-61c3-4942-875c-e265a7c2d062"
KEY_ID: Final = "5f6b2a3c-8d0e-4d3f-9c1b-7a2e4f6d8b90"
SECRET: Final = "benchmark-client-secret"
PASSPHRASE: Final = b"benchmark-passphrase"
EXECUTION: Final = pages.execution_id(100_000)

_PATIENCE: Final = aiohttp.ClientTimeout(total=30)
_ECDSA_SHA512 = ECDSA(SHA512())


def bare_session() -> aiohttp.ClientSession:
    """Make a session of aiohttp's as it comes, but for a timeout as short as ours."""
    return aiohttp.ClientSession(timeout=_PATIENCE)


@attrs.frozen(repr=False)
class Key:
    """A private key made for this run, and the shapes in which contenders want it.

    Attributes:
        name: What the report calls its kind.
        private: The key as cryptography has it.
    """

    name: str
    private: EllipticCurvePrivateKey | Ed25519PrivateKey

    @classmethod
    def p521(cls) -> Self:
        """Make a key on P-521, the customary kind."""
        return cls("P-521", generate_private_key(SECP521R1()))

    @classmethod
    def ed25519(cls) -> Self:
        """Make an Ed25519 key."""
        return cls("Ed25519", Ed25519PrivateKey.generate())

    @property
    def pem(self) -> bytes:
        """The key in PKCS#8, plain."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def encrypted_pem(self) -> bytes:
        """The key in PKCS#8, encrypted with `PASSPHRASE`."""
        encryption = BestAvailableEncryption(PASSPHRASE)
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def sign(self, data: bytes) -> bytes:
        """Sign with nothing around: the limit of whatever signs with this key."""
        if isinstance(self.private, Ed25519PrivateKey):
            return self.private.sign(data)
        return self.private.sign(data, _ECDSA_SHA512)

    def environment(self, url: str) -> dict[str, str]:
        """Give the variables of a client with this key."""
        return {
            "UPVEST_API_BASE_URL": url,
            "UPVEST_API_CLIENT_ID": CLIENT_ID,
            "UPVEST_API_CLIENT_SECRET": SECRET,
            "UPVEST_API_KEY_ID": KEY_ID,
            "UPVEST_API_HTTP_SIGN_PRIVATE_KEY": self.pem.decode(),
        }

    def settings(self, url: str) -> Settings:
        """Give the settings of a client with this key."""
        return Settings.from_env(None, environ=self.environment(url))

    def signer(self) -> Signer:
        """Give a signer as a client of ours makes it."""
        return Signer(key=self.settings("http://127.0.0.1").private_key, keyid=KEY_ID)

    def client(self, url: str, **options: Unpack[ClientOptions]) -> RebalancingClient:
        """Make a client of ours with this key, without a limit on requests per second."""
        unlimited: ClientOptions = {**options, "requests_per_second": None}
        return RebalancingClient(self.settings(url), **unlimited)
