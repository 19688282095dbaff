"""Check who a client says that it is and whom it talks to, whatever the values came from.

Values are repeated only where they can't be a secret that was put in the wrong place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

SANDBOX_URL: Final = "https://sandbox.upvest.co"
LIVE_URL: Final = "https://api.upvest.co"

_RIGHT = f"{SANDBOX_URL!r} or {LIVE_URL!r} is right"
_SCOPE_PATTERN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3
_HOST_PATTERN = re.compile(  # RFC 1123, section 2.1
    r"(?=.{1,253}$)[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)


def check_base_url(name: str, value: object, problems: list[str]) -> None:
    """Check a base URL: https, or http to this machine; a host and nothing after it.

    Args:
        name: What the value is called, for the message.
        value: The value.
        problems: Where what is wrong is added.
    """
    if not isinstance(value, str):
        problems.append(f"{name} is no text; {_RIGHT}")
        return
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        problems.append(f"{name} is no URL ({error}); {_RIGHT}")
        return
    if parts.username is not None or parts.password is not None:
        # Not repeated: it carries a password.
        problems.append(f"{name} has a user or a password in it; {_RIGHT}")
    elif parts.scheme not in {"https", "http"} or not _is_host(host):
        problems.append(f"{name} is {value!r}; {_RIGHT}")
    elif value != f"{parts.scheme}://{parts.netloc}":
        problems.append(f"{name} is {value!r}; it must end after the host: {_RIGHT}")
    elif parts.scheme == "http" and not is_loopback(host):
        problems.append(
            f"{name} is {value!r}: credentials are not sent over plain http, except to this "
            f"machine itself; {_RIGHT}"
        )


def check_key_id(name: str, value: object, problems: list[str]) -> None:
    """Check the id of a key: printable ASCII; see `check_base_url` for the arguments."""
    if not value:
        problems.append(f"{name} is missing")
    elif not isinstance(value, str) or not value.isascii() or not value.isprintable():
        problems.append(f"{name} is no text of printable ASCII characters")


def check_client_id(name: str, value: object, problems: list[str]) -> None:
    """Check a client's id: a UUID as text; see `check_base_url` for the arguments."""
    if not value:
        problems.append(f"{name} is missing")
        return
    try:
        is_canonical = isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        is_canonical = False
    if not is_canonical:
        problems.append(f"{name} is no UUID; a UUID is right, as text and with hyphens")


def check_secret(name: str, value: object, problems: list[str]) -> None:
    """Check a client's secret: a text that is not blank; see `check_base_url`."""
    if not value:
        problems.append(f"{name} is missing")
    elif not isinstance(value, str) or not value.strip():
        problems.append(f"{name} is no text, or blank")


def check_scopes(name: str, value: object, problems: list[str]) -> None:
    """Check scopes: at least one, each as RFC 6749 has it; see `check_base_url`."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        problems.append(f"{name} is no tuple of scopes; ('portfolios:admin',) is right")
        return
    scopes = tuple(value)
    if not scopes:
        problems.append(f"{name} names no scope; 'portfolios:admin' is what is needed")
    problems.extend(
        f"{name} has {scope!r}, which is no scope; 'portfolios:admin' is one"
        for scope in scopes
        if not isinstance(scope, str) or not _SCOPE_PATTERN.fullmatch(scope)
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST_PATTERN.fullmatch(host) is not None
    return True
