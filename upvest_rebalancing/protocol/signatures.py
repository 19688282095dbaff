"""HTTP message signatures as Upvest takes them: draft 15 of what became RFC 9421.

What is covered is what goes over the wire, byte for byte; the caller hands over the final method,
target, headers and body, and gets the three headers that remain to be added. Sources: the draft
``draft-ietf-httpbis-message-signatures-15``, RFC 9530 for the digest, and Upvest's documentation
for the list of components.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, Self

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

REMEMBERED: Final = 8
"""Sets of headers that a signer remembers: those of requests for the same thing are the same."""


def content_digest(body: bytes) -> str:
    """Give the value of ``content-digest`` for a body (RFC 9530, with SHA-512).

    Args:
        body: The body's bytes as they are sent.

    Returns:
        ``sha-512=:<base64>:``.
    """
    return f"sha-512=:{base64.b64encode(hashlib.sha512(body).digest()).decode()}:"


class Covered(NamedTuple):
    """Components of a message, as a signature's parameters and its base have them.

    Attributes:
        names: Their names in quotes, with a space between each two.
        lines: A line for each, with its name and value, and a newline at its end.
    """

    names: str
    lines: str

    @classmethod
    def of(cls, components: Iterable[tuple[str, str]]) -> Self:
        """Write components down.

        Args:
            components: Pairs of a name and a value, in order.
        """
        pairs = list(components)
        names = " ".join([f'"{name}"' for name, _ in pairs])
        return cls(names, "".join([f'"{name}": {value}\n' for name, value in pairs]))

    def base(self, parameters: str) -> bytes:
        """Write the signature base: a line per component, the parameters last.

        Args:
            parameters: What `signature_parameters` wrote for these components.

        Returns:
            The bytes that are signed, in UTF-8, with no newline at their end.
        """
        return f'{self.lines}"@signature-params": {parameters}'.encode()


def covered_headers(values: Iterable[str | None]) -> Covered:
    """Write the headers down that are covered.

    Args:
        values: The values of `COVERED_HEADERS`, in their order and as they are sent; None for one
            that is not sent.
    """
    pairs = zip(COVERED_HEADERS, values, strict=True)
    sent = {name: value.strip() for name, value in pairs if value is not None}
    has_body = "content-digest" in sent
    return Covered.of(
        (name, value) for name, value in sent.items() if has_body or not name.startswith("content-")
    )


def covered(method: str, target: str, headers: Covered) -> Covered:
    """Put the derived components before the headers: the method, the path, the query if any.

    Args:
        method: The HTTP method.
        target: Path and query as they are sent.
        headers: The headers that are covered.
    """
    path, _, query = target.partition("?")
    names = '"@method" "@path" "@query"' if query else '"@method" "@path"'
    line = f'"@query": ?{query}\n' if query else ""
    return Covered(
        f"{names} {headers.names}" if headers.names else names,
        f'"@method": {method.upper()}\n"@path": {path or "/"}\n{line}{headers.lines}',
    )


def signature_parameters(names: str, *, keyid: str, nonce: str, created: int, lifetime: int) -> str:
    """Write the signature's parameters: the covered names, keyid, nonce, created, expires.

    Args:
        names: `Covered.names` of the covered components.
        keyid: The id under which Upvest knows the public key.
        nonce: A string that is used once.
        created: When the signature is made, in seconds since 1970.
        lifetime: Seconds until it expires.

    Returns:
        The text that follows ``sig1=`` in ``signature-input``.
    """
    return (
        f"({names});keyid={_quote(keyid)};nonce={_quote(nonce)}"
        f";created={created};expires={created + lifetime}"
    )


@attrs.frozen(kw_only=True)
class Signer:
    """Sign requests with one key.

    It exists so that the key, its id and the lifetime travel together; it may be used from many
    tasks and threads.

    Attributes:
        key: The private key.
        keyid: The id under which Upvest knows its public key.
        lifetime: Seconds that a signature is valid.
    """

    key: SigningKey = attrs.field(repr=False)
    keyid: str
    lifetime: int = DEFAULT_LIFETIME
    # Its own, so that the tokens among the headers go when the signer goes.
    _covered_headers: Callable[[tuple[str | None, ...]], Covered] = attrs.field(
        factory=lambda: lru_cache(REMEMBERED)(covered_headers), init=False, repr=False, eq=False
    )

    def prepare(
        self, *, method: str, target: str, headers: Mapping[str, str], nonce: str, created: int
    ) -> tuple[str, bytes]:
        """Write what is to be signed for one attempt; the key is not used yet.

        Args:
            method: The HTTP method.
            target: Path and query as they are sent.
            headers: Names and values as they are sent, each name once and in lower case, or in any
                case where the mapping takes any; with a body, the three ``content-*`` headers
                among them.
            nonce: A string that is used for this attempt only.
            created: The time, in seconds since 1970.

        Returns:
            The signature's parameters, and the signature base.
        """
        fields = self._covered_headers(tuple(map(headers.get, COVERED_HEADERS)))
        message = covered(method, target, fields)
        parameters = signature_parameters(
            message.names,
            keyid=self.keyid,
            nonce=nonce,
            created=created,
            lifetime=self.lifetime,
        )
        return parameters, message.base(parameters)

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
    if value.isalnum() and value.isascii():
        return f'"{value}"'
    # RFC 8941, section 3.3.3: a string escapes these two and has no others to escape.
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
