"""The client: what a user calls."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Self, Unpack

from upvest_rebalancing.authentication import BearerMiddleware, SigningMiddleware
from upvest_rebalancing.connection import Connection
from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.models import (
    Authentication,
    Execution,
    ExecutionOutcome,
    Page,
    TriggeredExecution,
)
from upvest_rebalancing.options import ClientOptions
from upvest_rebalancing.protocol import codec, endpoints
from upvest_rebalancing.protocol.endpoints import MAX_PAGE_SIZE, DateLike, Identifier
from upvest_rebalancing.protocol.messages import Request
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings
from upvest_rebalancing.statistics import Statistics
from upvest_rebalancing.waiting import Watch
from upvest_rebalancing.walking import READ_AHEAD, OrderWalk

DEFAULT_WAIT: Final = 600.0
"""Seconds that `RebalancingClient.wait` waits unless told otherwise."""


class RebalancingClient:
    """Trigger portfolio rebalancings and follow their orders.

    A client is made once and used from any number of tasks: it keeps one token, one pool of
    connections, one throttle and one retry budget for all of them. Use it as a context manager.

    Args:
        settings: Whom it is and whom it talks to.
        options: See `ClientOptions`: retries, timeouts, limits, a hook, a session, TLS, proxies.

    Raises:
        InvalidRequestError: An option is out of its range.

    Example:
        >>> async def rebalance(account_ids):
        ...     async with RebalancingClient.from_env() as client:
        ...         execution = await client.trigger(accounts=account_ids)
        ...         outcome = await client.wait(execution.id, timeout=600)
        ...         return outcome.by_status
    """

    def __init__(self, settings: Settings, **options: Unpack[ClientOptions]) -> None:
        self._connection = Connection(settings, **options)

    @classmethod
    def from_env(
        cls,
        env_file: str | os.PathLike[str] | None = DEFAULT_ENV_FILE,
        *,
        environ: Mapping[str, str] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """Make a client from the environment and a ``.env`` file; see `Settings.from_env`.

        Args:
            env_file: The file to read; None reads none.
            environ: The environment; that of the process where None.
            options: See `ClientOptions`.

        Raises:
            ConfigurationError: Something is missing or wrong; every problem is in `problems`.
        """
        return cls(Settings.from_env(env_file, environ=environ), **options)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End a token fetch that is under way; close the session, unless it is the caller's."""
        await self._connection.close()

    def __repr__(self) -> str:
        settings = self.settings
        return f"<{type(self).__name__} of {settings.client_id} at {settings.base_url}>"

    @property
    def settings(self) -> Settings:
        """The settings that the client was made with."""
        return self._connection.settings

    @property
    def statistics(self) -> Statistics:
        """What was sent so far: calls, requests, retries, tokens, answers by status."""
        return self._connection.sender.counts.statistics()

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the server's clock is ahead of this machine's; None while unknown.

        It is learnt from the ``Date`` of the server's answers, good to about a second, and better
        after many. Signatures are corrected by it where the two are apart.
        """
        return self._connection.clock_skew

    @property
    def middlewares(self) -> tuple[BearerMiddleware, SigningMiddleware]:
        """Bearer and signing, for a ``ClientSession`` that calls other endpoints of the API.

        They share this client's token, and work while it is open.
        """
        return self._connection.middlewares

    async def authenticate(self) -> Authentication:
        """Fetch a fresh token, and say what it grants and how far the clocks are apart.

        Calls fetch tokens by themselves; this is for checking a set-up.

        Raises:
            TokenError: None could be had; the message says what to check.
        """
        return await self._connection.authenticate()

    async def trigger(
        self,
        *,
        accounts: Iterable[Identifier] | None = None,
        allocations: Iterable[Identifier] | None = None,
        idempotency_key: Identifier | None = None,
    ) -> TriggeredExecution:
        """Trigger a rebalancing of accounts, or of the accounts of allocations.

        Args:
            accounts: Ids of accounts; give either these or allocations, and at least one.
            allocations: Ids of portfolio allocations.
            idempotency_key: The key of this logical trigger, for one that is sent again after an
                outcome that is unknown; a fresh UUIDv4 where None.

        Returns:
            The execution's id, with the key and the attempts that it took.

        Raises:
            InvalidRequestError: An argument is not as the specification has it; nothing was sent.
            RequestError: The call failed for good; its `may_have_been_executed` says whether the
                trigger may have had its effect all the same.
        """
        if idempotency_key is None:
            key = endpoints.new_idempotency_key()
        else:
            key = endpoints.check_idempotency_key(idempotency_key)
        request = endpoints.trigger(
            client_id=self.settings.client_id,
            idempotency_key=key,
            accounts=accounts,
            allocations=allocations,
        )
        decode = functools.partial(codec.decode_trigger, idempotency_key=key)
        return await self._connection.call(request, decode)

    async def execution(self, execution_id: Identifier) -> Execution:
        """Retrieve an execution.

        Args:
            execution_id: Its id.

        Raises:
            InvalidRequestError: The id is no UUID; nothing was sent.
            NotFoundError: There is no such execution.
            RequestError: The call failed for good.
        """
        request = endpoints.execution(client_id=self.settings.client_id, execution_id=execution_id)
        return await self._connection.call(request, codec.decode_execution)

    def orders(
        self,
        execution_id: Identifier,
        *,
        page_size: int = MAX_PAGE_SIZE,
        offset: int = 0,
        start_date: DateLike | None = None,
        end_date: DateLike | None = None,
        sort: str | None = None,
        order: str | None = None,
        read_ahead: int = READ_AHEAD,
    ) -> OrderWalk:
        """List an execution's orders; nothing is sent until one iterates.

        Args:
            execution_id: The execution.
            page_size: Orders per request, 1 to 1000 (``limit``).
            offset: Rows of the list to leave out.
            start_date: Only orders from and including this date (UTC).
            end_date: Only orders up until this date (UTC).
            sort: The field to sort by; ``status``, the only one, is the server's default.
            order: The direction; ``ASC``, the only one, is the server's default.
            read_ahead: Pages fetched at once; as many are held in memory at the most.

        Returns:
            The walk: ``async for`` over it, over its `pages`, or ask for its `total`.

        Raises:
            InvalidRequestError: An argument is not as the specification has it. Failures of
                requests are raised while iterating, as `RequestError`.
        """
        if page_size == 0:
            raise InvalidRequestError(
                "page_size is 0; 1 to 1000 is right (for the number of orders, use total())"
            )
        if read_ahead < 1:
            raise InvalidRequestError(f"read_ahead is {read_ahead!r}; 1 or more is right")
        build = functools.partial(
            endpoints.orders,
            client_id=self.settings.client_id,
            execution_id=execution_id,
            start_date=start_date,
            end_date=end_date,
            sort=sort,
            order=order,
        )
        build(offset=offset, limit=page_size)
        connection = self._connection
        return OrderWalk(
            fetch=lambda offset, limit: connection.fetch(build(offset=offset, limit=limit)),
            read=lambda answer: connection.read(answer, codec.decode_page),
            page_size=page_size,
            start=offset,
            read_ahead=read_ahead,
        )

    async def _read(self, build: Callable[..., Request], offset: int, limit: int) -> Page:
        return await self._connection.call(build(offset=offset, limit=limit), codec.decode_page)

    async def wait(
        self,
        execution_id: Identifier,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_progress: Callable[[ExecutionOutcome], None] | None = None,
    ) -> ExecutionOutcome:
        """Wait until every order of an execution is final.

        Args:
            execution_id: The execution.
            timeout: Seconds; None for no limit.
            on_progress: Called with what is known after each look at the orders.

        Returns:
            The orders, with counts by status and by cancellation reason. Where the list never
            agrees with its own total, waiting ends after several equal readings, with an outcome
            that is not final and whose verdict is incomplete.

        Raises:
            WaitTimeoutError: Time ran out; what is known is in its `outcome`.
            RequestError: A call failed for good.
        """
        return await self.watch(execution_id, timeout=timeout).last(on_progress)

    def watch(self, execution_id: Identifier, *, timeout: float | None = DEFAULT_WAIT) -> Watch:
        """Follow an execution's orders until every one is final; see `wait`.

        Args:
            execution_id: The execution.
            timeout: Seconds from the first step on; None for no limit.

        Returns:
            An async iterator of what is known after each look at the orders. It raises what `wait`
            raises, and goes on after a `RequestError` where one asks it to.

        Raises:
            InvalidRequestError: An argument is not as it has to be.
        """
        if timeout is not None and not timeout >= 0:
            raise InvalidRequestError(f"timeout is {timeout!r}; seconds, 0 or more, are right")
        build = functools.partial(
            endpoints.orders, client_id=self.settings.client_id, execution_id=execution_id
        )
        build(offset=0, limit=0)
        return Watch(
            execution=functools.partial(self.execution, execution_id),
            read=functools.partial(self._read, build),
            timeout=timeout,
            clock=self._connection.clock,
            sleep=asyncio.sleep,
            jitter=self._connection.jitter,
        )
