"""Requests and answers as plain values, their bodies as bytes."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from upvest_rebalancing.protocol.redaction import shown_id


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Request:
    """One logical call, before it is signed; every attempt of the call sends these bytes.

    Attributes:
        operation: The call's name, for logs and events.
        method: The HTTP method, in upper case.
        target: Path and query as they go over the wire, percent-encoded.
        headers: Header names in lower case and their values; no credentials.
        body: The body's bytes; empty where there is none.
        idempotency_key: The key that the headers carry; None for calls that have none.
    """

    operation: str
    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)
    idempotency_key: str | None = None

    @property
    def is_safe(self) -> bool:
        """Tell whether the call changes nothing on the server (RFC 9110, section 9.2.1)."""
        return self.method in {"GET", "HEAD", "OPTIONS"}


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Response:
    """An answer that was read to its end.

    Attributes:
        status: The HTTP status.
        headers: Header names in lower case, or in a mapping that takes them in any case.
        body: The body's bytes, decompressed.
        too_large: True where the body went beyond the limit and reading stopped there.
        secrets: What the request carried to authenticate itself; an answer may echo it, and what
            is shown of an answer must not.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    too_large: bool = False
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False, eq=False)

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def request_id(self) -> str | None:
        """The server's correlation id, from the header ``upvest-request-id``."""
        value = self.headers.get("upvest-request-id")
        return None if value is None else shown_id(value, self.secrets)

    @property
    def is_success(self) -> bool:
        """Tell whether the status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004
