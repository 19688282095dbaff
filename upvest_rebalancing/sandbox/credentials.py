"""The client credentials that a sandbox hands out, and the files that carry them."""

import base64
import os
import secrets
import tempfile
import uuid
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from upvest_rebalancing.sandbox.config import KeyType

_PREFIX = "UPVEST_API_"
_MARK = b"# Written by upvest-rebalancing sandbox\n"
_KEY_MARK = b"# Written by upvest-rebalancing sandbox: the private key of its client\n"


@attrs.frozen(kw_only=True)
class Credentials:
    """What a client needs to talk to a sandbox.

    Attributes:
        client_id: The client's UUID.
        client_secret: The secret for the token endpoint.
        key_id: The id that the public key is registered under.
        private_key_pem: The private key, encrypted: P-521 the old OpenSSL way (SEC1 with
            `Proc-Type: 4,ENCRYPTED`), Ed25519 as PKCS#8.
        passphrase: What the private key is encrypted with.
        public_key_pem: The public key.
        scopes: The scopes that the client may have.
    """

    client_id: str
    client_secret: str = attrs.field(repr=False)
    key_id: str
    private_key_pem: bytes = attrs.field(repr=False)
    passphrase: bytes = attrs.field(repr=False)
    public_key_pem: bytes = attrs.field(repr=False)
    scopes: tuple[str, ...]


def make_credentials(key_type: KeyType, scopes: tuple[str, ...]) -> Credentials:
    """Make fresh credentials; nothing about them can be foretold.

    Args:
        key_type: The kind of key.
        scopes: The scopes that the client may have.
    """
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if key_type == "p521":
        key, form = ec.generate_private_key(ec.SECP521R1()), PrivateFormat.TraditionalOpenSSL
    else:
        key, form = ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8
    passphrase = secrets.token_urlsafe(24).encode()
    return Credentials(
        client_id=str(uuid.uuid4()),
        client_secret=secrets.token_urlsafe(32),
        key_id=str(uuid.uuid4()),
        private_key_pem=key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(passphrase)),
        passphrase=passphrase,
        public_key_pem=key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ),
        scopes=scopes,
    )


def environment_of(credentials: Credentials, base_url: str) -> dict[str, str]:
    """Return the environment variables of a client, the key among them.

    Args:
        credentials: The client's.
        base_url: The sandbox's URL.
    """
    key = base64.b64encode(credentials.private_key_pem).decode()
    return {
        f"{_PREFIX}BASE_URL": base_url,
        f"{_PREFIX}HTTP_SIGN_PRIVATE_KEY_BASE64": key,
        f"{_PREFIX}HTTP_SIGN_PRIVATE_KEY_PASSPHRASE": credentials.passphrase.decode(),
        f"{_PREFIX}KEY_ID": credentials.key_id,
        f"{_PREFIX}CLIENT_ID": credentials.client_id,
        f"{_PREFIX}CLIENT_SECRET": credentials.client_secret,
        f"{_PREFIX}SCOPES": ",".join(credentials.scopes),
    }


def write_environment(path: Path, credentials: Credentials, base_url: str) -> Path:
    """Write an env file and, next to it, the key file that it names.

    Args:
        path: The env file. Both files are replaced as a whole, and readable by the owner alone.
        credentials: The client's.
        base_url: The sandbox's URL.

    Returns:
        The env file's absolute path.

    Raises:
        ValueError: The path has characters that an env file cannot carry, or one of the files
            exists and is no sandbox's.
        OSError: The files cannot be written.
    """
    check_replaceable(path)
    path = path.absolute()
    key_path = _key_path(path)
    variables = environment_of(credentials, base_url)
    del variables[f"{_PREFIX}HTTP_SIGN_PRIVATE_KEY_BASE64"]
    variables[f"{_PREFIX}HTTP_SIGN_PRIVATE_KEY_FILENAME"] = str(key_path)
    text = "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())
    _write_private(key_path, _KEY_MARK + credentials.private_key_pem)
    _write_private(path, _MARK + text.encode())
    return path


def check_replaceable(path: Path) -> None:
    """Check that neither an env file nor its key file is anything but a sandbox's own.

    Args:
        path: The env file.

    Raises:
        ValueError: One of them exists and is no sandbox's.
    """
    for each, mark in ((path, _MARK), (_key_path(path), _KEY_MARK)):
        if not _is_free_or_ours(each, mark):
            message = f"{each} exists and is no sandbox's: another env file would be right"
            raise ValueError(message)


def _is_free_or_ours(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except FileNotFoundError:
        return not path.is_symlink()
    except OSError:
        return False


def _key_path(path: Path) -> Path:
    return path.with_name(f"sandbox-{path.name}.pem")


def _quoted(value: str) -> str:
    # python-dotenv substitutes ${…} inside quotes too, and knows no escape for it.
    if "${" in value or "\n" in value or "\r" in value:
        message = f"{value!r}: must be without line breaks and without '${{' for an env file"
        raise ValueError(message)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _write_private(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
