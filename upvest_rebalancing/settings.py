"""Settings: from arguments, the environment and a ``.env`` file, every mistake named at once.

The names are those of Upvest's own Python package, so that a team can switch without touching its
deployment. As there, the environment wins over the file; arguments win over both.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit
from uuid import UUID

import attrs
from dotenv import dotenv_values

from upvest_rebalancing.errors import ConfigurationError, KeyLoadError
from upvest_rebalancing.protocol.keys import SigningKey, load_private_key

SANDBOX_URL: Final = "https://sandbox.upvest.co"
LIVE_URL: Final = "https://api.upvest.co"
DEFAULT_SCOPES: Final = ("portfolios:admin",)
"""What rebalancing needs: the specification lets it trigger and read."""
PREFIX: Final = "UPVEST_API_"
DEFAULT_ENV_FILE: Final = ".env"

_KEY = "HTTP_SIGN_PRIVATE_KEY"
_KEY_SOURCES = (f"{_KEY}_FILENAME", _KEY, f"{_KEY}_BASE64")
_PASSPHRASE = f"{_KEY}_PASSPHRASE"
_SCOPE_PATTERN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that a client needs to know about whom it is and whom it talks to.

    Attributes:
        base_url: Scheme, host and port of the API, without a path.
        key_id: The id under which Upvest knows the public key (``keyid``).
        client_id: The tenant's client id.
        client_secret: The client's secret; never shown.
        private_key: The key that signs; never shown.
        scopes: The scopes to ask for.
    """

    base_url: str = SANDBOX_URL
    key_id: str
    client_id: str
    client_secret: str = attrs.field(repr=False)
    private_key: SigningKey
    scopes: tuple[str, ...] = DEFAULT_SCOPES

    @classmethod
    def from_env(
        cls,
        env_file: str | os.PathLike[str] | None = DEFAULT_ENV_FILE,
        *,
        environ: Mapping[str, str] | None = None,
        base_url: str | None = None,
        key_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        private_key: bytes | str | None = None,
        passphrase: bytes | str | None = None,
        scopes: Iterable[str] | None = None,
    ) -> Self:
        """Gather settings from arguments, the environment and a ``.env`` file.

        Args:
            env_file: The file to read; None reads none. ``.env`` may be missing, another may not.
            environ: The environment; that of the process where None.
            base_url: In place of ``UPVEST_API_BASE_URL``.
            key_id: In place of ``UPVEST_API_KEY_ID``.
            client_id: In place of ``UPVEST_API_CLIENT_ID``.
            client_secret: In place of ``UPVEST_API_CLIENT_SECRET``.
            private_key: The PEM itself, in place of ``UPVEST_API_HTTP_SIGN_PRIVATE_KEY``, of the
                same name with ``_FILENAME`` and of the same name with ``_BASE64``.
            passphrase: In place of ``UPVEST_API_HTTP_SIGN_PRIVATE_KEY_PASSPHRASE``.
            scopes: In place of ``UPVEST_API_SCOPES`` (comma-separated there).

        Returns:
            The settings.

        Raises:
            ConfigurationError: Something is missing or wrong; every problem is in `problems`.
        """
        problems: list[str] = []
        values = _read(env_file, os.environ if environ is None else environ, problems)
        arguments = {
            "BASE_URL": base_url,
            "KEY_ID": key_id,
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": client_secret,
            "SCOPES": None if scopes is None else ",".join(scopes),
            _PASSPHRASE: _as_text(passphrase),
        }
        values |= {name: value for name, value in arguments.items() if value is not None}
        if private_key is not None:
            values = {name: v for name, v in values.items() if name not in _KEY_SOURCES}
            values[_KEY] = _as_text(private_key) or ""
        key = _private_key(values, problems)
        settings = {
            "base_url": _base_url(values.get("BASE_URL", SANDBOX_URL), problems),
            "key_id": _header_safe("KEY_ID", values, problems),
            "client_id": _client_id(values, problems),
            "client_secret": _required("CLIENT_SECRET", values, problems),
            "scopes": _scopes(values, problems),
        }
        if problems or key is None:
            text = "the configuration is not usable:\n" + "\n".join(f"- {p}" for p in problems)
            raise ConfigurationError(text, problems=tuple(problems))
        return cls(private_key=key, **settings)  # type: ignore[arg-type]


def _as_text(value: bytes | str | None) -> str | None:
    # Latin-1 keeps every byte, and UTF-8 of a passphrase's text is what OpenSSL is handed.
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _read(
    env_file: str | os.PathLike[str] | None, environ: Mapping[str, str], problems: list[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    if env_file is not None:
        path = Path(env_file)
        if path.is_file():
            found |= {n: v for n, v in dotenv_values(path).items() if v is not None}
        elif str(env_file) != DEFAULT_ENV_FILE:
            problems.append(f"the environment file {str(path)!r} does not exist")
    found |= environ
    return {
        name.removeprefix(PREFIX): value
        for name, value in found.items()
        if name.startswith(PREFIX) and value != ""
    }


def _required(name: str, values: Mapping[str, str], problems: list[str]) -> str:
    value = values.get(name, "")
    if not value:
        problems.append(f"{PREFIX}{name} is missing")
    return value


def _header_safe(name: str, values: Mapping[str, str], problems: list[str]) -> str:
    value = _required(name, values, problems)
    if value and not (value.isascii() and value.isprintable()):
        problems.append(f"{PREFIX}{name} is {value!r}; printable ASCII characters are right")
    return value


def _client_id(values: Mapping[str, str], problems: list[str]) -> str:
    value = _required("CLIENT_ID", values, problems)
    try:
        return str(UUID(value)) if value else ""
    except ValueError:
        problems.append(f"{PREFIX}CLIENT_ID is {value!r}; a UUID is right")
        return ""


def _scopes(values: Mapping[str, str], problems: list[str]) -> tuple[str, ...]:
    text = values.get("SCOPES")
    if text is None:
        return DEFAULT_SCOPES
    scopes = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if not scopes:
        problems.append(f"{PREFIX}SCOPES names no scope; 'portfolios:admin' is what is needed")
    problems.extend(
        f"{PREFIX}SCOPES has {scope!r}, which is no scope; 'portfolios:admin' is one"
        for scope in scopes
        if not _SCOPE_PATTERN.fullmatch(scope)
    )
    return scopes


def _base_url(value: str, problems: list[str]) -> str:
    right = f"{SANDBOX_URL!r} or {LIVE_URL!r} is right"
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        problems.append(f"{PREFIX}BASE_URL is no URL ({error}); {right}")
        return value
    if parts.username is not None or parts.password is not None:
        # The value is not repeated: it carries a password.
        problems.append(f"{PREFIX}BASE_URL has a user or a password in it; {right}")
    elif parts.scheme not in {"https", "http"} or not host:
        problems.append(f"{PREFIX}BASE_URL is {value!r}; {right}")
    elif parts.path.strip("/") or parts.query or parts.fragment:
        problems.append(f"{PREFIX}BASE_URL is {value!r}; it must end after the host: {right}")
    elif parts.scheme == "http" and not _is_loopback(host):
        problems.append(
            f"{PREFIX}BASE_URL is {value!r}: credentials are not sent over plain http, except to "
            f"this machine itself; {right}"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _private_key(values: Mapping[str, str], problems: list[str]) -> SigningKey | None:
    given = [name for name in _KEY_SOURCES if name in values]
    if len(given) != 1:
        names = ", ".join(PREFIX + name for name in _KEY_SOURCES)
        which = ", ".join(PREFIX + name for name in given) if given else "none"
        problems.append(f"exactly one of {names} must be set; set: {which}")
        return None
    (name,) = given
    pem = _pem(name, values[name], problems)
    if pem is None:
        return None
    passphrase = values.get(_PASSPHRASE, "").encode("utf-8", "surrogateescape")
    try:
        return load_private_key(pem, passphrase)
    except KeyLoadError as error:
        hint = f" (passphrase: {PREFIX}{_PASSPHRASE})" if "passphrase" in error.message else ""
        shown = f" = {values[name]!r}" if name.endswith("_FILENAME") else ""
        problems.append(f"{PREFIX}{name}{shown}: {error.message}{hint}")
        return None


def _pem(name: str, value: str, problems: list[str]) -> bytes | None:
    if name.endswith("_FILENAME"):
        try:
            return Path(value).read_bytes()
        except OSError as error:
            why = error.strerror or "it can't be read"
            problems.append(f"{PREFIX}{name} = {value!r}: {why}")
            return None
    if name.endswith("_BASE64"):
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            problems.append(f"{PREFIX}{name} is no base64; the base64 of the PEM file is right")
            return None
    # Deployment tools often can't put a line break into a variable and write \n instead.
    text = value if "\n" in value else value.replace("\\n", "\n")
    return text.encode("utf-8", "surrogateescape")
