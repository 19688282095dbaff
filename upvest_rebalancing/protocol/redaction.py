"""Take credentials out of text that others wrote, before it is shown or kept.

A server or a proxy may echo a request in its error page; what it echoes must not end up in a log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

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


def redact(text: str) -> str:
    """Replace credentials in a text by an ellipsis."""
    for pattern in _CREDENTIALS:
        text = pattern.sub(r"\g<keep>…", text)
    return text


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give headers as they may be logged: values by allowlist, an ellipsis for all others."""
    return {
        name: value if name.lower() in SHOWN_HEADERS else "…" for name, value in headers.items()
    }
