"""HTTP message signatures as Upvest takes them: draft 15 of what became RFC 9421.

What is covered is what goes over the wire, byte for byte; the caller hands over the final method,
target, headers and body, and gets the three headers that remain to be added. Sources: the draft
``draft-ietf-httpbis-message-signatures-15``, RFC 9530 for the digest, and Upvest's documentation
for the list of components.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from upvest_rebalancing.protocol.keys import SigningKey

SIGNATURE_VERSION: Final = "15"
DEFAULT_LIFETIME: Final = 30
"""Seconds that a signature is valid; Upvest's own clients use 5 to 60."""

COVERED_HEADERS: Final = (
    "accept",
    "authorization",
    "content-length",
    "content-type",
    "content-digest",
    "idempotency-key",
    "upvest-client-id",
    "upvest-api-version",
    "date",
)
"""Headers that are covered wherever they are sent; no other header ever is."""

_WITHOUT_BODY: Final = tuple(name for name in COVERED_HEADERS if not name.startswith("content-"))


def content_digest(body: bytes) -> str:
    """Give the value of ``content-digest`` for a body (RFC 9530, with SHA-512).

    Args:
        body: The body's bytes as they are sent.

    Returns:
        ``sha-512=:<base64>:``.
    """
    return f"sha-512=:{base64.b64encode(hashlib.sha512(body).digest()).decode()}:"


def components(method: str, target: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """List what a signature covers, in order: derived components, then headers.

    Args:
        method: The HTTP method.
        target: Path and query as they are sent.
        headers: Names in lower case and values as they are sent; with a body, the three
            ``content-*`` headers among them.

    Returns:
        Pairs of a component's name and its value.
    """
    path, _, query = target.partition("?")
    found = [("@method", method.upper()), ("@path", path or "/")]
    if query:
        found.append(("@query", f"?{query}"))
    for name in COVERED_HEADERS if "content-digest" in headers else _WITHOUT_BODY:
        value = headers.get(name)
        if value is not None:
            found.append((name, value.strip()))
    return found


def signature_parameters(
    names: Iterable[str], *, keyid: str, nonce: str, created: int, lifetime: int
) -> str:
    """Write the signature's parameters: the covered names, keyid, nonce, created, expires.

    Args:
        names: Names of the covered components, in order.
        keyid: The id under which Upvest knows the public key.
        nonce: A string that is used once.
        created: When the signature is made, in seconds since 1970.
        lifetime: Seconds until it expires.

    Returns:
        The text that follows ``sig1=`` in ``signature-input``.
    """
    quoted = " ".join([f'"{name}"' for name in names])
    return (
        f"({quoted});keyid={_quote(keyid)};nonce={_quote(nonce)}"
        f";created={created};expires={created + lifetime}"
    )


def signature_base(covered: Iterable[tuple[str, str]], parameters: str) -> bytes:
    r"""Write the signature base: a line per component, the parameters last, joined by ``\n``.

    Args:
        covered: Pairs of a component's name and its value.
        parameters: What `signature_parameters` wrote for the same names.

    Returns:
        The bytes that are signed, in UTF-8, with no newline at their end.
    """
    lines = [f'"{name}": {value}\n' for name, value in covered]
    return f'{"".join(lines)}"@signature-params": {parameters}'.encode()


@attrs.frozen(kw_only=True)
class Signer:
    """Sign requests with one key.

    It exists so that the key, its id and the lifetime travel together; it holds no state that
    changes and may be used from many tasks and threads.

    Attributes:
        key: The private key.
        keyid: The id under which Upvest knows its public key.
        lifetime: Seconds that a signature is valid.
    """

    key: SigningKey = attrs.field(repr=False)
    keyid: str
    lifetime: int = DEFAULT_LIFETIME

    def prepare(
        self, *, method: str, target: str, headers: Mapping[str, str], nonce: str, created: int
    ) -> tuple[str, bytes]:
        """Write what is to be signed for one attempt; the key is not used yet.

        Args:
            method: The HTTP method.
            target: Path and query as they are sent.
            headers: Names in lower case and values as they are sent; with a body, the three
                ``content-*`` headers among them.
            nonce: A string that is used for this attempt only.
            created: The time, in seconds since 1970.

        Returns:
            The signature's parameters, and the signature base.
        """
        covered = components(method, target, headers)
        parameters = signature_parameters(
            [name for name, _ in covered],
            keyid=self.keyid,
            nonce=nonce,
            created=created,
            lifetime=self.lifetime,
        )
        return parameters, signature_base(covered, parameters)

    def sign(
        self, *, method: str, target: str, headers: Mapping[str, str], nonce: str, created: int
    ) -> dict[str, str]:
        """Sign one attempt; the arguments are those of `prepare`.

        Returns:
            The headers to add: ``signature-input``, ``signature``, ``upvest-signature-version``.
        """
        parameters, base = self.prepare(
            method=method, target=target, headers=headers, nonce=nonce, created=created
        )
        signature = base64.b64encode(self.key.sign(base)).decode()
        return signature_headers(parameters, signature)


def signature_headers(parameters: str, signature: str) -> dict[str, str]:
    """Write the headers that carry a signature.

    Args:
        parameters: The signature's parameters, as they stand in its base.
        signature: The signature in base64.

    Returns:
        The headers to add: ``signature-input``, ``signature``, ``upvest-signature-version``.
    """
    return {
        "signature-input": f"sig1={parameters}",
        "signature": f"sig1=:{signature}:",
        "upvest-signature-version": SIGNATURE_VERSION,
    }


def _quote(value: str) -> str:
    # RFC 8941, section 3.3.3: a string escapes these two and has no others to escape.
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
