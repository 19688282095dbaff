"""A request and an answer as plain values, byte for byte as they cross the wire."""

import functools
import json
from collections.abc import Mapping

import attrs


@attrs.frozen
class Message:
    """A request as it arrived.

    Texts are the wire's bytes decoded as Latin-1, which maps every byte to one character and back:
    what is signed can be compared byte for byte without a guess at an encoding.

    Attributes:
        method: The method as sent.
        target: The request target as sent: percent-encoding, query and all.
        headers: Pairs of a lower-case name and a value without surrounding white space, in the
            order in which they arrived.
        body: The body's bytes, as sent (content codings are not undone).
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """Return a header's value, several lines of it joined as RFC 9421, 2.1 joins them.

        Args:
            name: The header's name in lower case.
        """
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    @property
    def origin_target(self) -> str:
        """The target without scheme and authority, should it be in absolute form."""
        scheme, separator, rest = self.target.partition("://")
        if not separator or scheme.lower() not in {"http", "https"}:
            return self.target
        _, slash, path = rest.partition("/")
        return slash + path if slash else "/"

    @property
    def path(self) -> str:
        """The path as sent, `/` if it is empty (RFC 9421, 2.2.6)."""
        return self.origin_target.partition("?")[0] or "/"

    @property
    def query(self) -> str:
        """The query as sent, without its `?`; empty if there is none."""
        return self.origin_target.partition("?")[2]

    @property
    def authority(self) -> str:
        """The normalised host and port (RFC 9421, 2.2.3)."""
        return (self.header("host") or "").lower().removesuffix(":80")


@attrs.frozen
class Answer:
    """An answer before it is put on the wire.

    Attributes:
        status: The HTTP status.
        body: The body's bytes.
        headers: Headers besides content type, length and request id.
        content_type: The body's media type.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    content_type: str = "application/json"


def json_answer(value: object, *, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a 200 with a value as JSON.

    Args:
        value: Anything that `json` can write.
        headers: Further headers.
    """
    return Answer(status=200, body=compact_json(value), headers=headers or {})


compact_json_text = functools.partial(json.dumps, separators=(",", ":"), ensure_ascii=False)


def compact_json(value: object) -> bytes:
    """Return a value as JSON without white space, in UTF-8.

    Args:
        value: Anything that `json` can write.
    """
    return compact_json_text(value).encode("utf-8", "backslashreplace")
