"""A signer of its own for the tests: nothing of it comes from the package."""

import base64
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_numbers = itertools.count()
_UNSIGNED = ("signature", "signature-input", "upvest-signature-version", "host", "user-agent")


def digest(body: bytes) -> str:
    return f"sha-512=:{base64.b64encode(hashlib.sha512(body).digest()).decode()}:"


@dataclass(frozen=True)
class Style:
    """How a request is signed: as it should be, but for what is set here."""

    created: int = 1_700_000_000
    lifetime: int = 30
    key_id: str = "key"
    nonce: str | None = None
    label: str = "sig1"
    covered: Sequence[str] | None = None
    uncovered: Sequence[str] = ()
    extra: Sequence[str] = ()
    order: Sequence[str] = ("keyid", "created", "expires", "nonce")
    parameters: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    hash: hashes.HashAlgorithm = field(default_factory=hashes.SHA512)
    edit_base: Callable[[str], str | bytes] = lambda base: base
    edit_input: Callable[[str], str] = lambda text: text
    edit_signature: Callable[[bytes], bytes] = lambda signature: signature
    edit_header: Callable[[str], str] = lambda text: text


def sign(
    key: PrivateKey,
    method: str,
    target: str,
    headers: Mapping[str, str],
    style: Style,
) -> dict[str, str]:
    """Return the two headers of a signature."""
    path, mark, query = target.partition("?")
    values = {"@method": method, "@path": path}
    if query:
        values["@query"] = mark + query
    values |= {name.lower(): value for name, value in headers.items()}
    names = style.covered
    if names is None:
        names = [name for name in values if name not in (*_UNSIGNED, *style.uncovered)]
    names = [*names, *style.extra]
    values |= style.values
    nonce = f"nonce-{next(_numbers)}" if style.nonce is None else style.nonce
    parameters = {
        "keyid": f'"{style.key_id}"',
        "created": str(style.created),
        "expires": str(style.created + style.lifetime),
        "nonce": f'"{nonce}"',
        **style.parameters,
    }
    listed = " ".join(f'"{name}"' for name in names)
    written = f"({listed})" + "".join(f";{name}={parameters[name]}" for name in style.order)
    lines = [f'"{name}": {values[name]}' for name in names]
    base = style.edit_base("\n".join([*lines, f'"@signature-params": {written}']))
    data = base if isinstance(base, bytes) else base.encode("latin-1")
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(data)
    else:
        signature = key.sign(data, ec.ECDSA(style.hash))
    encoded = base64.b64encode(style.edit_signature(signature)).decode()
    return {
        "signature-input": f"{style.label}={style.edit_input(written)}",
        "signature": f"{style.label}={style.edit_header(f':{encoded}:')}",
    }
