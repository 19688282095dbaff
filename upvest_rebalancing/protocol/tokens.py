"""Ask for an access token and read the answer (RFC 6749, section 4.4); authlib writes the form.

Authlib takes forty modules to write one, so it is not imported together with this package.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from upvest_rebalancing.errors import ScopeError, TokenError
from upvest_rebalancing.protocol.endpoints import API_VERSION, TOKEN_PATH
from upvest_rebalancing.protocol.messages import Request, Response

DEFAULT_LIFETIME: Final = 300.0
"""Seconds that a token is taken to live where the answer does not say (RFC 6749 lets it)."""

MAX_MARGIN: Final = 60.0
"""Seconds before its end at which a long-lived token is renewed."""

_TOKEN_PATTERN = re.compile(r"[a-zA-Z0-9\-._~+/]+=*")


@attrs.frozen(kw_only=True)
class Token:
    """An access token; it never shows itself.

    Attributes:
        access_token: The secret.
        obtained_at: When it was asked for, in seconds on the caller's monotonic clock.
        lifetime: Seconds from then that it lives.
        scopes: What it grants.
        refresh_at: When to renew it: a quarter of its life before its end, or a minute at the most.
    """

    access_token: str = attrs.field(repr=False)
    obtained_at: float
    lifetime: float
    scopes: tuple[str, ...]

    refresh_at: float = attrs.field(init=False)

    @refresh_at.default
    def _refresh_in_time(self) -> float:
        return self.obtained_at + self.lifetime - min(MAX_MARGIN, self.lifetime / 4)


def needs_refresh(token: Token | None, now: float) -> bool:
    """Tell whether a token is missing or close to its end.

    Args:
        token: The token.
        now: Seconds on the clock that its `obtained_at` was read from.
    """
    return token is None or now >= token.refresh_at


def prepare() -> None:
    """Import authlib; who makes a client calls this, as `codec.prepare` and for its reasons."""
    import authlib.oauth2.auth  # noqa: F401, PLC0415 - see there


def token_request(*, client_id: str, client_secret: str, scopes: Iterable[str]) -> Request:
    """Build the request for a token; it is signed like any other, but carries no bearer."""
    from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415 - see prepare
    from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415

    body = prepare_token_request("client_credentials", scope=list(scopes))
    auth = ClientAuth(client_id, client_secret, "client_secret_post")
    _, _, body = auth.prepare("POST", TOKEN_PATH, {}, body)
    return Request(
        operation="token",
        method="POST",
        target=TOKEN_PATH,
        headers={
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded",
            "upvest-api-version": API_VERSION,
            "upvest-client-id": client_id,
        },
        body=body.encode(),
    )


def parse_token(response: Response, *, scopes: Iterable[str], now: float) -> Token:
    """Read the token endpoint's answer.

    Args:
        response: The answer, with a status of success.
        scopes: The scopes that were asked for.
        now: When the request was sent, in seconds on the caller's monotonic clock; a token's life
            is counted from there, so that time on the way never makes it look younger.

    Returns:
        The token.

    Raises:
        ScopeError: Scopes that were asked for were not granted.
        TokenError: No usable token came back.
    """
    asked = tuple(scopes)
    answer = _json_object(response)
    access_token = answer.get("access_token")
    if not isinstance(access_token, str) or not _TOKEN_PATTERN.fullmatch(access_token):
        raise _nonsense(response, "access_token is missing or not one that a header can carry")
    kind = answer.get("token_type", "bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _nonsense(response, "token_type is not 'bearer'")
    granted = _granted(response, answer.get("scope"), asked)
    missing = tuple(scope for scope in asked if scope not in granted)
    if missing:
        raise ScopeError(
            f"the token lacks the scopes {', '.join(missing)}; granted are: "
            f"{', '.join(granted) or 'none'}. Ask Upvest to grant them to this client, or ask for "
            "less in UPVEST_API_SCOPES",
            status=response.status,
            request_id=response.request_id,
            missing=missing,
            granted=granted,
        )
    lifetime = _lifetime(response, answer.get("expires_in"))
    return Token(access_token=access_token, obtained_at=now, lifetime=lifetime, scopes=granted)


def _granted(response: Response, scope: object, asked: tuple[str, ...]) -> tuple[str, ...]:
    if scope is None:  # RFC 6749, section 5.1: left out where it is what was asked for.
        return asked
    if not isinstance(scope, str):
        raise _nonsense(response, "scope is not a string")
    return tuple(scope.split())


def _lifetime(response: Response, expires_in: object) -> float:
    if expires_in is None:
        return DEFAULT_LIFETIME
    seconds = math.nan
    if isinstance(expires_in, int | float | str) and not isinstance(expires_in, bool):
        with contextlib.suppress(ValueError, OverflowError):
            seconds = float(expires_in)
    if not math.isfinite(seconds) or seconds <= 0:
        raise _nonsense(response, f"expires_in is {str(expires_in)[:40]!r}, not seconds")
    return seconds


def _json_object(response: Response) -> dict[str, Any]:
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        return answer
    raise _nonsense(response, "the body is no JSON object")


def _nonsense(response: Response, fault: str) -> TokenError:
    return TokenError(
        f"the token endpoint answered HTTP {response.status}, but {fault}",
        status=response.status,
        request_id=response.request_id,
    )
