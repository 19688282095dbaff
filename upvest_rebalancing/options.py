"""The options of a client: names, types, defaults and limits, checked before anything else."""

from __future__ import annotations

import inspect
import random
import ssl as ssl_module
import time
from collections.abc import Callable
from typing import Any, Final, Literal, TypedDict
from urllib.parse import urlsplit

import aiohttp
import attrs

from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.events import AttemptHook
from upvest_rebalancing.identity import SANDBOX_URL
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy
from upvest_rebalancing.protocol.signatures import DEFAULT_LIFETIME
from upvest_rebalancing.signing import SigningThreads
from upvest_rebalancing.transport import MAX_BODY

SANDBOX_REQUESTS_PER_SECOND: Final = 298.0
"""Upvest's sandbox takes 300 (docs); a little less, because the way to it is a long one."""

LONGEST_SIGNATURE: Final = 3600
"""Seconds that a signature may be asked to be valid; Upvest's own clients use 5 to 60."""


class ClientOptions(TypedDict, total=False):
    """The options of a client, all of them keyword arguments.

    Attributes:
        session: An aiohttp session of the caller's, which is never closed here; its connections
            and cookies are used, its middlewares are not. None makes one.
        retry: How often and how long a call is tried.
        retry_budget: Keeps retries in proportion to successes; a fresh one where None.
        attempt_timeout: Seconds for one attempt, the answer's body included; 30 by default.
        concurrency: Requests under way at once, never more than there are connections; 100 by
            default, as aiohttp's connections.
        requests_per_second: Requests that no second holds more of; None for no limit but the one
            that the server's refusals show; "auto", the default, takes that of Upvest's sandbox
            there, and everywhere the one that the server tells in ``RateLimit-Policy``, if it does.
        signature_lifetime: Whole seconds that a signature is valid; 30 by default.
        signing_threads: Threads that sign, so that the event loop goes on meanwhile; 0 signs on the
            loop; "auto", the default, takes one for a P-521 key where there is a second core.
        on_attempt: Told of every attempt, before it and after it; see `upvest_rebalancing.events`.
        ssl: A TLS context; True, the default, makes aiohttp's.
        proxy: The URL of a proxy.
        trust_env: Whether to take proxies from the environment (``HTTPS_PROXY``), in a session of
            our own.
        max_answer_bytes: Bytes of an answer at the most, after decompression; 32 MiB by default.
        clock: Gives seconds that never go back; for tests.
        now: Gives the time in seconds since 1970; for tests.
        jitter: Picks a pause, in seconds, between 0 and the longest; for tests.
    """

    session: aiohttp.ClientSession | None
    retry: RetryPolicy | None
    retry_budget: RetryBudget | None
    attempt_timeout: float
    concurrency: int
    requests_per_second: float | Literal["auto"] | None
    signature_lifetime: int
    signing_threads: SigningThreads
    on_attempt: AttemptHook | None
    ssl: ssl_module.SSLContext | Literal[True]
    proxy: str | None
    trust_env: bool
    max_answer_bytes: int
    clock: Callable[[], float]
    now: Callable[[], float]
    jitter: Callable[[float], float]


def full_jitter(longest: float) -> float:
    """Pick a pause anywhere between 0 and the longest, in seconds."""
    return random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Options:
    """Checked options; see `ClientOptions` for their meaning."""

    session: aiohttp.ClientSession | None = None
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    retry_budget: RetryBudget = attrs.field(factory=RetryBudget)
    attempt_timeout: float = 30.0
    concurrency: int = 100
    requests_per_second: float | Literal["auto"] | None = "auto"
    signature_lifetime: int = DEFAULT_LIFETIME
    signing_threads: SigningThreads = "auto"
    on_attempt: AttemptHook | None = None
    ssl: ssl_module.SSLContext | Literal[True] = True
    proxy: str | None = attrs.field(default=None, repr=False)
    trust_env: bool = False
    max_answer_bytes: int = MAX_BODY
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    jitter: Callable[[float], float] = full_jitter

    @classmethod
    def of(cls, options: ClientOptions) -> Options:
        """Check options and fill in the defaults.

        Raises:
            InvalidRequestError: An option does not exist, or its value can't be right.
        """
        known = {field.name for field in attrs.fields(cls)}
        unknown = sorted(options.keys() - known)
        if unknown:
            names = ", ".join(sorted(known))
            raise InvalidRequestError(f"there is no option {', '.join(unknown)}; there are {names}")
        # None asks for the default, but for the rate, where it asks for no limit.
        given: dict[str, Any] = {
            name: value
            for name, value in options.items()
            if value is not None or name == "requests_per_second"
        }
        _check(given)
        return cls(**given)

    @property
    def places(self) -> int:
        """How many requests may be under way at once: never more than the session's connections."""
        connector = None if self.session is None else self.session.connector
        limits = [connector.limit, connector.limit_per_host] if connector is not None else []
        return min([self.concurrency, *(limit for limit in limits if limit > 0)])

    def rate(self, base_url: str) -> float | None:
        """Give the requests per second for an API; None for no limit that is known."""
        if self.requests_per_second != "auto":
            return self.requests_per_second
        at_sandbox = urlsplit(base_url).hostname == urlsplit(SANDBOX_URL).hostname
        return SANDBOX_REQUESTS_PER_SECOND if at_sandbox else None


_KINDS: Final[dict[str, tuple[type | tuple[type, ...], str]]] = {
    "session": (aiohttp.ClientSession, "an aiohttp.ClientSession"),
    "retry": (RetryPolicy, "a RetryPolicy"),
    "retry_budget": (RetryBudget, "a RetryBudget"),
    "proxy": (str, "the proxy's URL, as text,"),
    "trust_env": (bool, "True or False"),
}
_NUMBERS: Final = ("attempt_timeout", "requests_per_second")
_WHOLE_NUMBERS: Final = {
    "concurrency": (1, 1_000_000, ""),
    "signature_lifetime": (1, LONGEST_SIGNATURE, ""),
    "signing_threads": (0, 64, "auto"),
    "max_answer_bytes": (1, 2**40, ""),
}


def _check(given: dict[str, Any]) -> None:
    _check_kinds(given)
    _check_numbers(given)
    for name in ("on_attempt", "clock", "now", "jitter"):
        value = given.get(name, len)
        if not callable(value) or inspect.iscoroutinefunction(value):
            raise InvalidRequestError(f"{name} is {value!r}; a plain function is right")


def _check_kinds(given: dict[str, Any]) -> None:
    for name, (kind, words) in _KINDS.items():
        if name in given and not isinstance(given[name], kind):
            raise InvalidRequestError(f"{name} is {given[name]!r}; {words} is right")
    tls = given.get("ssl", True)
    if tls is not True and not isinstance(tls, ssl_module.SSLContext):
        raise InvalidRequestError(
            f"ssl is {tls!r}; an ssl.SSLContext is right, or True (certificates are always "
            "checked; for a test's own, give a context that trusts it)"
        )


def _check_numbers(given: dict[str, Any]) -> None:
    for name in _NUMBERS:
        value = given.get(name)
        if value is None or (name == "requests_per_second" and value == "auto"):
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < float("inf"):
            raise InvalidRequestError(f"{name} is {value!r}; a positive number is right")
    for name, (lowest, highest, words) in _WHOLE_NUMBERS.items():
        value = given.get(name, lowest)
        if words and value == words:
            continue
        if type(value) is not int or not lowest <= value <= highest:
            more = f', or "{words}",' if words else ","
            raise InvalidRequestError(
                f"{name} is {value!r}; a whole number, {lowest} to {highest}{more} is right"
            )
