"""What every request has to pass before it is worked on, in this order.

Rate limit, `accept`, client id, API version, signature, token, scope.
"""

import re
from typing import Final

from upvest_rebalancing.sandbox.limits import RateLimits
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.problems import ProblemError
from upvest_rebalancing.sandbox.routes import Route
from upvest_rebalancing.sandbox.signature_input import SignatureRefusedError
from upvest_rebalancing.sandbox.signatures import Verifier
from upvest_rebalancing.sandbox.tokens import Grant, TokenOffice, TokenRefusedError
from upvest_rebalancing.sandbox.uuids import is_uuid

# The specification's pattern of the header.
_BEARER: Final = re.compile(r"Bearer ([a-zA-Z0-9\-._~+/]*=*)")
_ACCEPT: Final = "application/json"
_API_VERSION: Final = "1"


class Gate:
    """Let requests pass, or refuse them.

    Args:
        limits: The rate limits.
        verifier: Of signatures.
        tokens: Of access tokens.
    """

    def __init__(self, limits: RateLimits, verifier: Verifier, tokens: TokenOffice) -> None:
        self._limits = limits
        self._verifier = verifier
        self._tokens = tokens

    def admit(self, message: Message, route: Route, now: float, shown: float) -> str:
        """Check a request, and return its client id in lower case.

        Args:
            message: The request.
            route: Where it goes.
            now: The time in Unix seconds; rate limits go by it.
            shown: What the clock shows; signatures and tokens go by it.

        Raises:
            ProblemError: It may not pass: 429, 406, 400, 401 or 403.
        """
        if not self._limits.allows((message.header("upvest-client-id") or "").lower(), now):
            detail = "the rate limit of this upvest-client-id is exceeded: wait, then try again"
            raise ProblemError(429, detail)
        _check_accept(message.header("accept"))
        client_id = _client_id(message.header("upvest-client-id"))
        _check_api_version(message.header("upvest-api-version"))
        try:
            self._verifier.verify(message, token_request=not route.scopes, now=shown, true_now=now)
        except SignatureRefusedError as refusal:
            raise ProblemError(401, f"Signature is incorrect: {refusal}") from refusal
        if route.scopes:
            grant = self._grant(message.header("authorization"), client_id, shown)
            _check_scope(grant, route)
        return client_id

    def _grant(self, authorization: str | None, client_id: str, now: float) -> Grant:
        if authorization is None:
            raise _unauthorized("the header authorization is missing: it has to be Bearer <token>")
        found = _BEARER.fullmatch(authorization)
        if found is None:
            raise _unauthorized("the header authorization must have the form Bearer <token>")
        try:
            return self._tokens.check(found.group(1), client_id, now)
        except TokenRefusedError as refusal:
            raise _unauthorized(str(refusal), error="invalid_token") from refusal


def _unauthorized(detail: str, *, error: str | None = None) -> ProblemError:
    challenge = 'Bearer realm="upvest-sandbox"'
    if error is not None:
        challenge += f', error="{error}"'
    return ProblemError(401, detail, headers={"www-authenticate": challenge})


def _check_accept(accept: str | None) -> None:
    if accept != _ACCEPT:
        found = "missing" if accept is None else repr(accept)
        detail = f"the header accept is {found}: it must be exactly {_ACCEPT!r}"
        raise ProblemError(406, detail)


def _client_id(client_id: str | None) -> str:
    if not client_id:
        detail = "the header upvest-client-id is missing: it must be the client's UUID"
        raise ProblemError(400, detail, type="missing_client_id")
    if not is_uuid(client_id):
        raise ProblemError(400, f"upvest-client-id {client_id!r}: must be a UUID with hyphens")
    return client_id.lower()


def _check_api_version(version: str | None) -> None:
    if version is not None and version != _API_VERSION:
        detail = f"upvest-api-version {version!r}: must be {_API_VERSION}, without quotation marks"
        raise ProblemError(400, detail)


def _check_scope(grant: Grant, route: Route) -> None:
    if not grant.scopes & route.scopes:
        detail = (
            f"the access token has the scopes {' '.join(sorted(grant.scopes))}, "
            f"but this call needs {' or '.join(sorted(route.scopes))}"
        )
        raise ProblemError(403, detail)
