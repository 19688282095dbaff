"""Every error that this package raises, in one tree.

::

    RebalancingError
    ├── ConfigurationError          settings are missing or wrong; every problem is named
    │   └── KeyLoadError            the private key can't be used, and why
    ├── InvalidRequestError         an argument was refused, nothing was sent; a ValueError too
    ├── WaitTimeoutError            orders were not final in time; carries what is known so far
    └── RequestError                one call failed; carries its attempts and its idempotency key
        ├── NotSentError            no attempt reached the server
        │   ├── ClientClosedError   the client was used outside its ``async with`` block
        │   ├── DeadlineExceededError  the deadline passed before anything was sent
        │   └── TokenError          no access token could be had, so the call was not made
        │       └── ScopeError      the token lacks scopes that were asked for
        ├── OutcomeUnknownError     sent, but no complete answer came back
        └── AnsweredError           the server answered, with something other than success
            ├── InvalidAnswerError  a success that can't be read as the specification has it
            ├── AnswerTooLargeError an answer above the size limit
            ├── RedirectError       a redirect; it is never followed
            └── APIError            an error status
                ├── BadRequestError 400, UnauthorizedError 401, ForbiddenError 403,
                │   NotFoundError 404, MethodNotAllowedError 405, NotAcceptableError 406,
                │   ConflictError 409, UnprocessableEntityError 422, TooManyRequestsError 429
                └── ServerError     any other 5xx
                    └── InternalServerError 500, BadGatewayError 502,
                        ServiceUnavailableError 503, GatewayTimeoutError 504

For money, one attribute decides: `RequestError.may_have_been_executed`. It is True where any
attempt of the call may have had its effect on the server, whatever the last attempt said.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, TypeVar, cast, dataclass_transform

import attrs

_Error = TypeVar("_Error", bound="RebalancingError")


class AttemptOutcome(enum.StrEnum):
    """How one attempt ended, seen from the network.

    The three are told apart because they differ in what may have happened on the server.
    """

    NOT_SENT = "not_sent"
    """No byte of the request can have reached the server."""
    UNKNOWN = "unknown"
    """The request, or a part of it, was sent and no complete answer came back."""
    ANSWERED = "answered"
    """A complete answer came back, whatever its status."""


@attrs.frozen
class Attempt:
    """Record what one attempt of a call did.

    Attributes:
        number: Counted from 1.
        started: Seconds from the start of the call to the start of the attempt.
        duration: Seconds that the attempt took.
        outcome: How it ended, seen from the network.
        status: The HTTP status, where an answer came.
        request_id: The server's correlation id, where an answer came and had one.
        error: What went wrong, in words; None after a success.
        retry_after: Seconds that the server asked to wait, where it asked.
        wait: Seconds that the client waits before the next attempt; None after the last one.
    """

    number: int
    started: float
    duration: float
    outcome: AttemptOutcome
    status: int | None = None
    request_id: str | None = None
    error: str | None = None
    retry_after: float | None = None
    wait: float | None = None

    @property
    def may_have_been_executed(self) -> bool:
        """Tell whether the server may have done what this attempt asked for.

        A 5xx counts: a gateway's timeout, or an error after the work was done, looks the same
        from here as one before it.
        """
        if self.outcome is AttemptOutcome.ANSWERED:
            return self.status is None or not 300 <= self.status < 500  # noqa: PLR2004
        return self.outcome is AttemptOutcome.UNKNOWN


def _rebuild(cls: type[RebalancingError], fields: Mapping[str, Any]) -> RebalancingError:
    return cls(**fields)


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(attrs.field,))
def _error(cls: type[_Error]) -> type[_Error]:
    # Errors are compared by identity; slots are left out because BaseException has a __dict__
    # anyway; auto_exc would put every field into args, which logging tools print.
    # A class that adds no field goes without: it inherits all of this, and attrs would spend on
    # each import of this package the time to write the same methods again.
    return attrs.define(cls, slots=False, eq=False, kw_only=True, repr=False, auto_exc=False)


@_error
class RebalancingError(Exception):
    """Base of every error that this package raises.

    Errors survive pickling with all that they carry, so that one raised in a worker process still
    says everything that it knew. None of them carries a secret.

    Attributes:
        message: What went wrong, in one sentence or a few lines.
    """

    message: str = attrs.field(kw_only=False)

    def __attrs_post_init__(self) -> None:
        self.args = (self.message,)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        names = (
            field.name for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(self)))
        )
        return _rebuild, (type(self), {name: getattr(self, name) for name in names})


@_error
class ConfigurationError(RebalancingError):
    """Settings are missing or wrong; nothing was sent.

    Attributes:
        problems: Every problem that was found, each naming the setting and what would be right.
    """

    problems: tuple[str, ...] = ()


class KeyLoadError(ConfigurationError):
    """The private key can't be used: the message says why."""


class InvalidRequestError(RebalancingError, ValueError):
    """An argument was refused before anything was sent; the message says what would be right."""


@_error
class WaitTimeoutError(RebalancingError):
    """Orders were not final in time.

    Attributes:
        outcome: What was known when time ran out, an `upvest_rebalancing.ExecutionOutcome`; None
            where no reading had succeeded.
    """

    outcome: Any = None


@_error
class RequestError(RebalancingError):
    """One call failed for good.

    Attributes:
        operation: The operation's name, for example ``trigger``.
        method: The HTTP method.
        path: The path as it was sent, with its query.
        idempotency_key: The key that every attempt carried; None for calls that have none.
        attempts: What each attempt did, oldest first.
        request_id: The server's correlation id of the last answer that had one.
        reason: Why no further attempt was made, in words.
        resume_offset: Where the same iterator goes on, for a page of a walk; None for every other
            call. A new walk from there may miss orders that moved.
    """

    operation: str = ""
    method: str = ""
    path: str = ""
    idempotency_key: str | None = None
    attempts: tuple[Attempt, ...] = ()
    request_id: str | None = None
    reason: str | None = None
    resume_offset: int | None = None

    @property
    def may_have_been_executed(self) -> bool:
        """Tell whether any attempt of this call may have had its effect on the server.

        False is a promise; True is the honest answer wherever the client can't know. Resolve it
        by sending the same trigger again with the same idempotency key.
        """
        return any(attempt.may_have_been_executed for attempt in self.attempts)


class NotSentError(RequestError):
    """No attempt reached the server: refused, unresolved, no TLS, no connection in time."""


class ClientClosedError(NotSentError):
    """The client was used before ``async with`` entered or after it left, or closed meanwhile."""


class DeadlineExceededError(NotSentError):
    """The deadline over all attempts passed before anything was sent."""


@_error
class TokenError(NotSentError):
    """No access token could be had, so the call itself was not made.

    Attributes:
        status: The HTTP status of the token endpoint's answer, where it answered.
        error: The OAuth error code (RFC 6749, section 5.2) or the problem's type, where given.
        detail: What the token endpoint said, where it said something.
        retry_after: Seconds that the token endpoint asked to wait, where it asked.
        token_attempts: What each attempt at the token endpoint did, oldest first.
    """

    status: int | None = None
    error: str | None = None
    detail: str | None = None
    retry_after: float | None = None
    token_attempts: tuple[Attempt, ...] = ()


@_error
class ScopeError(TokenError):
    """The token that came back lacks scopes that were asked for.

    Attributes:
        missing: The scopes that were asked for and not granted.
        granted: The scopes that were granted.
    """

    missing: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()


class OutcomeUnknownError(RequestError):
    """The request was sent, or a part of it, and no complete answer came back.

    A trigger that ends so may have been executed. Send it again **with the same idempotency key**
    to find out; with another key it could be executed twice.
    """


@_error
class AnsweredError(RequestError):
    """The server answered, with something other than the success that was asked for.

    Attributes:
        status: The HTTP status.
        content_type: The answer's content type, where it named one.
        body: The beginning of the answer's body, as text.
    """

    status: int = 0
    content_type: str | None = None
    body: str = ""


class InvalidAnswerError(AnsweredError):
    """The answer has a success status and a body that can't be read as the specification has it."""


class AnswerTooLargeError(AnsweredError):
    """The answer is larger, after decompression, than the limit that was set."""


@_error
class RedirectError(AnsweredError):
    """The server redirected. Redirects are not followed: credentials would leak to the target.

    Attributes:
        location: Where the server pointed to, where it said so.
    """

    location: str | None = None


@_error
class APIError(AnsweredError):
    """The server answered with an error status.

    The class follows the HTTP status, not the body: the specification's own example of a 503 names
    another type. The fields are those of RFC 9457; each is None where the answer lacks it.

    Attributes:
        type: A URL or a bare word that names the kind of problem.
        title: A short title of the kind of problem.
        detail: What went wrong this time.
        instance: A URI of this very occurrence.
        retry_after: Seconds that the server asked to wait, where it asked.
    """

    type: str | None = None
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    retry_after: float | None = None


class BadRequestError(APIError):
    """400: a malformed parameter or object."""


class UnauthorizedError(APIError):
    """401: the caller has not been authenticated; a signature or a token was refused."""


class ForbiddenError(APIError):
    """403: the caller is known but may not do this; a scope is missing, for example."""


class NotFoundError(APIError):
    """404: the resource does not exist."""


class MethodNotAllowedError(APIError):
    """405: the resource does not have this method."""


class NotAcceptableError(APIError):
    """406: the ``accept`` header asks for what the server does not have."""


class ConflictError(APIError):
    """409: the request conflicts with another; an idempotency key used for another body."""


class UnprocessableEntityError(APIError):
    """422: the request is well-formed and can't be carried out."""


class TooManyRequestsError(APIError):
    """429: the quota for the time period is used up, and stayed so over every attempt."""


class ServerError(APIError):
    """Any 5xx: the server or a proxy before it failed."""


class InternalServerError(ServerError):
    """500: the service met an unexpected error."""


class BadGatewayError(ServerError):
    """502: a gateway got no usable answer from the service."""


class ServiceUnavailableError(ServerError):
    """503: the service can't be reached at this time."""


class GatewayTimeoutError(ServerError):
    """504: the service did not answer its gateway in time."""


STATUS_ERRORS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    406: NotAcceptableError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: TooManyRequestsError,
    500: InternalServerError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: GatewayTimeoutError,
}


def error_class(status: int) -> type[APIError]:
    """Name the class that stands for an HTTP status, documented or not."""
    if status in STATUS_ERRORS:
        return STATUS_ERRORS[status]
    return ServerError if status >= 500 else APIError  # noqa: PLR2004
