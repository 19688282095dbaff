"""Clients, and the access tokens that they hold."""

import hmac
import secrets
from collections.abc import Callable, Iterable
from uuid import UUID

import attrs

from upvest_rebalancing.sandbox.uuids import canonical_uuid

# An expired token is remembered a while, so that the refusal can say that it has expired.
_REMEMBERED_SECONDS = 3600


class TokenRefusedError(Exception):
    """Refuse an access token, or the making of one; the message says why."""


@attrs.frozen
class Grant:
    """What an access token allows.

    Attributes:
        client_id: Whose it is.
        scopes: What it is good for.
        expires_at: Until when, in Unix seconds.
    """

    client_id: str
    scopes: frozenset[str]
    expires_at: float


@attrs.frozen
class _Client:
    secret: str = attrs.field(repr=False)
    scopes: frozenset[str]


class TokenOffice:
    """Issue access tokens to registered clients, and check them.

    Args:
        lifetime: How long a token is good, in seconds.
    """

    def __init__(self, lifetime: int) -> None:
        self._lifetime = lifetime
        self._clients: dict[str, _Client] = {}
        self._grants: dict[str, Grant] = {}
        self._revoked: dict[str, Grant] = {}

    def register(self, client_id: UUID | str, client_secret: str, scopes: Iterable[str]) -> None:
        """Register a client, or replace it.

        Args:
            client_id: Its UUID.
            client_secret: Its secret.
            scopes: What its tokens may be good for.

        Raises:
            ValueError: The id is no UUID, or the secret is empty.
        """
        if not client_secret:
            message = "client_secret: must not be empty"
            raise ValueError(message)
        client = _Client(secret=client_secret, scopes=frozenset(scopes))
        self._clients[canonical_uuid(client_id, "client_id")] = client

    def issue(
        self,
        client_id: str,
        client_secret: str,
        scopes: Iterable[str],
        now: float,
        *,
        lifetime: Callable[[], float | None] = lambda: None,
    ) -> tuple[str, int]:
        """Issue an access token.

        Args:
            client_id: The client, in lower case.
            client_secret: What it says its secret is.
            scopes: What the token is to be good for.
            now: The time in Unix seconds.
            lifetime: Asked, once it is sure that the token is issued, for a lifetime in seconds in
                place of the usual one; None leaves that.

        Returns:
            The token, and its lifetime in whole seconds.

        Raises:
            TokenRefusedError: The client is unknown, its secret wrong, or a scope not its own.
        """
        client = self._clients.get(client_id)
        known = client.secret if client is not None else secrets.token_urlsafe()
        matches = hmac.compare_digest(known.encode(), client_secret.encode())
        if client is None or not matches:
            message = "the client_id is unknown or the client_secret is wrong"
            raise TokenRefusedError(message)
        asked = frozenset(scopes)
        if foreign := sorted(asked - client.scopes):
            message = (
                f"the client may not have the scope {', '.join(foreign)}; "
                f"it may have {', '.join(sorted(client.scopes))}"
            )
            raise TokenRefusedError(message)
        self._forget(now)
        token = secrets.token_urlsafe(32)
        given = lifetime()
        seconds = self._lifetime if given is None else given
        self._grants[token] = Grant(client_id, asked, now + seconds)
        return token, int(seconds)

    def check(self, token: str, client_id: str, now: float) -> Grant:
        """Return what a token allows.

        Args:
            token: The access token.
            client_id: The client that shows it, in lower case.
            now: The time in Unix seconds.

        Raises:
            TokenRefusedError: The token is unknown, revoked, expired, or another client's.
        """
        if token in self._revoked:
            message = "the access token was revoked: ask for a new one"
            raise TokenRefusedError(message)
        grant = self._grants.get(token)
        if grant is None:
            message = "the access token is unknown: it was not issued here, or long ago"
            raise TokenRefusedError(message)
        if now >= grant.expires_at:
            message = (
                f"the access token expired {now - grant.expires_at:.3f} s ago: ask for a new one"
            )
            raise TokenRefusedError(message)
        if grant.client_id != client_id:
            message = (
                f"the access token was issued to the client {grant.client_id}, "
                f"but upvest-client-id is {client_id}"
            )
            raise TokenRefusedError(message)
        return grant

    def secrets(self) -> list[str]:
        """Return all secrets of clients, and all tokens that are remembered."""
        return [*(each.secret for each in self._clients.values()), *self._grants, *self._revoked]

    def revoke_all(self) -> int:
        """Make every access token invalid at once, and return how many there were."""
        count = len(self._grants)
        self._revoked.update(self._grants)
        self._grants.clear()
        return count

    def _forget(self, now: float) -> None:
        for grants in (self._grants, self._revoked):
            # The oldest token is the first; one that lives shorter waits for those before it.
            while grants:
                oldest = next(iter(grants))
                if grants[oldest].expires_at + _REMEMBERED_SECONDS >= now:
                    break
                del grants[oldest]
