"""Take credentials out of text that others wrote, before it is shown or kept.

A server or a proxy may echo a request in its error page; what it echoes must not end up in a log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

LONGEST: Final = 8000
"""Characters of a server's text that are shown at the most."""

LONGEST_ID: Final = 128
"""Characters of a correlation id that are shown."""

LONGEST_HEADER: Final = 500
"""Characters of a header's value that are shown at the most."""

SHORTEST: Final = 6
"""Characters that a secret has at the least to be looked for by its value."""

SHOWN_HEADERS: Final = frozenset(
    {
        "accept",
        "content-digest",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "idempotency-key",
        "location",
        "retry-after",
        "server",
        "upvest-api-version",
        "upvest-client-id",
        "upvest-request-id",
        "upvest-signature-version",
        "via",
    }
)
"""Headers whose values may be logged; of all others only the name."""

_UUID = re.compile(r"[0-9A-Fa-f-]{36}")

_CREDENTIALS = (
    re.compile(r"(?P<keep>bearer\s+)[A-Za-z0-9\-._~+/]+=*", re.IGNORECASE),
    re.compile(r"(?P<keep>\bsig[\w-]*=:)[A-Za-z0-9+/=]+(?=:)", re.IGNORECASE),
    re.compile(r"(?P<keep>client_secret=)[^&\s\"'<]+", re.IGNORECASE),
    re.compile(
        r"(?P<keep>[\"'](?:access_token|client_secret|refresh_token)[\"']\s*:\s*[\"'])[^\"']*",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)", re.DOTALL),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace credentials in a text by an ellipsis.

    Args:
        text: What somebody else wrote.
        secrets: Values that must not stand in it, in whatever notation they were echoed; others
            are found by their form.
    """
    for secret in secrets:
        for notation in _notations(secret):
            text = text.replace(notation, "…")
    for pattern in _CREDENTIALS:
        text = pattern.sub(r"\g<keep>…", text)
    return text


def shown(text: str, secrets: Iterable[str] = (), limit: int = LONGEST) -> str:
    """Make a text of somebody else's fit to be shown: redacted, bounded, and printable.

    Line breaks stay; other control characters, which could steer a terminal, and halves of
    surrogate pairs, which no encoding takes, are written as escapes.

    Args:
        text: What somebody else wrote.
        secrets: Values that must not stand in it.
        limit: Characters at the most.
    """
    clean = "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1]
        for char in redact(text[: limit * 8], secrets)[:limit]
    )
    return clean[:limit]


def shown_id(text: str, secrets: Iterable[str] = ()) -> str:
    """Make a correlation id fit to be shown; see `shown`.

    Every answer has one, and nearly every one is a UUID: in those there is nothing to clean but a
    secret that stands in it as it is, since any other notation of one has other characters.

    Args:
        text: What somebody else wrote.
        secrets: Values that must not stand in it.
    """
    if _UUID.fullmatch(text) and not any(map(text.__contains__, secrets)):
        return text
    return shown(text, secrets, LONGEST_ID)


def _notations(secret: str) -> set[str]:
    # Most processes never get here, and this brings a table of all of HTML's names along.
    from html import escape  # noqa: PLC0415

    found = {secret, quote(secret, safe=""), quote_plus(secret), escape(secret)}
    found.add(json.dumps(secret)[1:-1])
    # A secret of a few characters would blot out half of any text, and is none.
    return {notation for notation in found if len(notation) >= SHORTEST}


def shown_headers(headers: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """Give headers as they may be logged: values by allowlist, an ellipsis for all others.

    Args:
        headers: The headers.
        secrets: Values that must not stand in them.
    """
    return {
        name: shown(value, secrets, LONGEST_HEADER) if name.lower() in SHOWN_HEADERS else "…"
        for name, value in headers.items()
    }
