"""Settings: from arguments, the environment and a ``.env`` file, every mistake named at once.

The names are those of Upvest's own Python package, so that a team can switch without touching its
deployment. As there, the environment wins over the file; arguments win over both.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self

import attrs

from upvest_rebalancing.errors import ConfigurationError, KeyLoadError
from upvest_rebalancing.identity import (
    SANDBOX_URL,
    check_base_url,
    check_client_id,
    check_key_id,
    check_scopes,
    check_secret,
)
from upvest_rebalancing.protocol.keys import SigningKey, load_private_key

DEFAULT_SCOPES: Final = ("portfolios:admin",)
"""What rebalancing needs: the specification lets it trigger and read."""
PREFIX: Final = "UPVEST_API_"
DEFAULT_ENV_FILE: Final = ".env"

_KEY = "HTTP_SIGN_PRIVATE_KEY"
_KEY_SOURCES = (f"{_KEY}_FILENAME", _KEY, f"{_KEY}_BASE64")
_PASSPHRASE = f"{_KEY}_PASSPHRASE"
_LONGEST_NAME: Final = 300


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

    def __attrs_post_init__(self) -> None:
        problems: list[str] = []
        check_base_url("base_url", self.base_url, problems)
        check_key_id("key_id", self.key_id, problems)
        check_client_id("client_id", self.client_id, problems)
        check_secret("client_secret", self.client_secret, problems)
        check_scopes("scopes", self.scopes, problems)
        if not hasattr(self.private_key, "sign"):
            problems.append("private_key is no key; load_private_key() makes one from a PEM")
        _raise(problems)

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
            scopes: In place of ``UPVEST_API_SCOPES``; a text is read as that variable is, which
                is comma-separated.

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
            "SCOPES": scopes if scopes is None or isinstance(scopes, str) else ",".join(scopes),
            _PASSPHRASE: _as_text(passphrase),
        }
        values |= {name: value for name, value in arguments.items() if value is not None}
        if private_key is not None:
            values = {name: v for name, v in values.items() if name not in _KEY_SOURCES}
            values[_KEY] = _as_text(private_key) or ""
        key = _private_key(values, problems)
        base = values.get("BASE_URL", SANDBOX_URL).rstrip("/")
        names = values.get("SCOPES")
        asked = DEFAULT_SCOPES if names is None else tuple(names.replace(",", " ").split())
        found = {name: values.get(name, "") for name in ("KEY_ID", "CLIENT_ID", "CLIENT_SECRET")}
        check_base_url(f"{PREFIX}BASE_URL", base, problems)
        check_key_id(f"{PREFIX}KEY_ID", found["KEY_ID"], problems)
        check_client_id(f"{PREFIX}CLIENT_ID", found["CLIENT_ID"], problems)
        check_secret(f"{PREFIX}CLIENT_SECRET", found["CLIENT_SECRET"], problems)
        check_scopes(f"{PREFIX}SCOPES", asked, problems)
        _raise(problems)
        assert key is not None  # noqa: S101 - or there would have been a problem
        return cls(
            base_url=base,
            key_id=found["KEY_ID"],
            client_id=found["CLIENT_ID"],
            client_secret=found["CLIENT_SECRET"],
            private_key=key,
            scopes=tuple(dict.fromkeys(asked)),
        )


def _raise(problems: Iterable[str]) -> None:
    found = tuple(problems)
    if found:
        text = "the configuration is not usable:\n" + "\n".join(f"- {p}" for p in found)
        raise ConfigurationError(text, problems=found)


def _as_text(value: bytes | str | None) -> str | None:
    # Bytes that are no UTF-8 come out again as they went in, below.
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _read(
    env_file: str | os.PathLike[str] | None, environ: Mapping[str, str], problems: list[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    if env_file is not None:
        path = Path(env_file)
        if path.is_file():
            from dotenv import dotenv_values  # noqa: PLC0415 - most deployments have no such file

            try:
                found |= {n: v for n, v in dotenv_values(path).items() if v is not None}
            except (OSError, UnicodeDecodeError) as error:
                # The decoding error holds the whole file, secrets and all; it is not kept.
                why = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
                problems.append(f"the environment file {str(path)!r} can't be read: {why}")
        elif str(env_file) != DEFAULT_ENV_FILE:
            problems.append(f"the environment file {str(path)!r} does not exist")
    found |= environ
    return {
        name.removeprefix(PREFIX): value
        for name, value in found.items()
        if name.startswith(PREFIX) and value != ""
    }


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
        problems.append(f"{PREFIX}{name}{_file_name(name, values[name])}: {error.message}{hint}")
        return None


def _file_name(name: str, value: str) -> str:
    # A PEM that was put where its file's name belongs must not be shown.
    is_name = name.endswith("_FILENAME") and len(value) <= _LONGEST_NAME and value.isprintable()
    return f" = {value!r}" if is_name and "-----" not in value else ""


def _pem(name: str, value: str, problems: list[str]) -> bytes | None:
    if name.endswith("_FILENAME"):
        try:
            return Path(value).read_bytes()
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "this is no file name"
            problems.append(f"{PREFIX}{name}{_file_name(name, value)}: {why}")
            return None
    if name.endswith("_BASE64"):
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            problems.append(f"{PREFIX}{name} is no base64; the base64 of the PEM file is right")
            return None
    # Deployment tools often can't put a line break into a variable and write \n instead.
    text = value.replace("\\r\\n", "\n").replace("\\n", "\n")
    return text.encode("utf-8", "surrogateescape")
