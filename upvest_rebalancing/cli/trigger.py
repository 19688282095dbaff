"""The command ``trigger``: one rebalancing."""

from __future__ import annotations

import enum
from typing import Annotated, Any
from uuid import UUID

import attrs
import typer

from upvest_rebalancing.cli.inputs import read_accounts
from upvest_rebalancing.cli.options import EnvFile, Json, Timeout, Verbose
from upvest_rebalancing.cli.reports import show_counts
from upvest_rebalancing.cli.running import Signals, StoppedError
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import Attempt, InvalidRequestError, RequestError, WaitTimeoutError
from upvest_rebalancing.events import AttemptEvent, AttemptStarted
from upvest_rebalancing.models import ExecutionOutcome, TriggeredExecution
from upvest_rebalancing.protocol.endpoints import (
    check_idempotency_key,
    identifier,
    new_idempotency_key,
)
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings


class State(enum.StrEnum):
    """What is known of a trigger."""

    TRIGGERED = "triggered"
    UNKNOWN = "unknown"
    """It may have been executed."""
    NOT_EXECUTED = "not_executed"


@attrs.define
class _Trigger:
    """What is to be triggered and what has come of it; it outlives the event loop."""

    key: str
    accounts: tuple[str, ...]
    allocations: tuple[str, ...]
    timeout: float | None
    triggered: TriggeredExecution | None = None
    outcome: ExecutionOutcome | None = None
    is_late: bool = False
    attempts: int = 0
    open_attempts: int = 0
    is_calling: bool = False
    is_executed: bool = False
    request_id: str | None = None

    def note(self, attempt: Attempt) -> None:
        """Take in what an attempt did."""
        self.is_executed = self.is_executed or attempt.may_have_been_executed

    @property
    def state(self) -> State:
        """What is known of it."""
        if self.triggered is not None:
            return State.TRIGGERED
        # Cut off where no attempt was told of: nobody knows how far it has come.
        is_open = self.is_calling and (self.open_attempts > 0 or self.attempts == 0)
        return State.UNKNOWN if self.is_executed or is_open else State.NOT_EXECUTED


def trigger(
    *,
    account: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="An account; may be repeated.")
    ] = None,
    allocation: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A portfolio allocation; may be repeated."),
    ] = None,
    accounts_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A file of accounts as 'run' takes it, or -."),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="UUID",
            help="The key of an earlier trigger whose outcome is unknown; a new one by default.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the orders until all are final.")
    ] = False,
    timeout: Timeout = 600.0,
    env_file: EnvFile = DEFAULT_ENV_FILE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Trigger one rebalancing, of accounts or of allocations.

    Prints the execution's id and the idempotency key. Exit status: 0 triggered (with --wait: and
    every order is final), 1 not triggered, unknown or not final, 2 the input or the configuration
    is wrong.
    """
    screen = Screen.open(verbose=verbose)
    with screen.reporting():
        accounts = [identifier("--account", one) for one in account or ()]
        if accounts_file is not None:
            accounts += map(str, read_accounts(screen, accounts_file).accounts)
        allocations = [identifier("--allocation", one) for one in allocation or ()]
        if bool(accounts) == bool(allocations):
            message = (
                "give either accounts (--account, --accounts-file) or allocations (--allocation)"
            )
            raise InvalidRequestError(message)
        key = new_idempotency_key() if idempotency_key is None else idempotency_key
        order = _Trigger(
            key=check_idempotency_key(key),
            accounts=_once(screen, accounts),
            allocations=_once(screen, allocations),
            timeout=timeout if wait else None,
        )
        with Signals() as signals:
            try:
                signals.run(_run(env_file, order))
            except (RequestError, StoppedError):
                # Whatever ends it: first what was triggered, then what went wrong.
                _show(screen, order, as_json=as_json)
                raise
            _show(screen, order, as_json=as_json)
            screen.end(ExitStatus.FAILED if order.is_late else ExitStatus.DONE)


def _once(screen: Screen, ids: list[str]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(ids))
    if len(unique) < len(ids):
        screen.remark(f"{len(ids) - len(unique):,} repeated; each is sent once")
    return unique


async def _run(env_file: str, order: _Trigger) -> None:
    def on_attempt(event: AttemptEvent) -> None:
        if event.idempotency_key != order.key:
            return
        if isinstance(event, AttemptStarted):
            order.attempts += 1
            order.open_attempts += 1
        else:
            order.open_attempts -= 1
            order.note(event.attempt)

    settings = Settings.from_env(env_file)
    async with RebalancingClient(settings, on_attempt=on_attempt) as client:
        await _trigger(client, order)
        if order.triggered is not None and order.timeout is not None:
            await _follow(client, order, order.triggered.id, order.timeout)


async def _trigger(client: RebalancingClient, order: _Trigger) -> None:
    order.is_calling = True
    try:
        order.triggered = await client.trigger(
            accounts=order.accounts or None,
            allocations=order.allocations or None,
            idempotency_key=order.key,
        )
    except RequestError as error:
        order.is_calling = False
        order.attempts = max(order.attempts, len(error.attempts))
        order.request_id = error.request_id
        for attempt in error.attempts:
            order.note(attempt)
        raise
    order.is_calling = False
    order.request_id = order.triggered.request_id
    order.attempts = max(order.attempts, len(order.triggered.attempts))


async def _follow(
    client: RebalancingClient, order: _Trigger, execution_id: UUID, timeout: float
) -> None:
    def progressed(outcome: ExecutionOutcome) -> None:
        order.outcome = outcome

    try:
        order.outcome = await client.wait(execution_id, timeout=timeout, on_progress=progressed)
    except WaitTimeoutError as error:
        order.outcome = error.outcome or order.outcome
        order.is_late = True
    else:
        # A list that never agrees with its own total ends the wait without being final.
        order.is_late = not order.outcome.is_final


def _show(screen: Screen, order: _Trigger, *, as_json: bool) -> None:
    triggered, outcome = order.triggered, order.outcome
    if as_json:
        document: dict[str, Any] = {
            "outcome": order.state.value,
            "id": None if triggered is None else str(triggered.id),
            "idempotency_key": order.key,
            "request_id": order.request_id,
            "attempts": order.attempts,
        }
        if order.timeout is not None:
            document["final"] = outcome is not None and outcome.is_final
            document["by_status"] = {} if outcome is None else dict(outcome.by_status)
        screen.json(document)
    else:
        execution = _WORDS[order.state] if triggered is None else str(triggered.id)
        screen.table({"execution": execution, "idempotency key": order.key})
        if outcome is not None:
            screen.result()
            show_counts(screen, "status", {str(k): n for k, n in outcome.by_status.items()})
    if order.is_late:
        screen.error(f"not every order was final after {order.timeout:g} s")
    if screen.stream.lost is not None:
        # Nobody has read it; standard error may have a reader.
        found = "none" if triggered is None else str(triggered.id)
        screen.remark(f"{order.state}; execution: {found}; idempotency key: {order.key}")


_WORDS = {
    State.UNKNOWN: "unknown: it may have been triggered",
    State.NOT_EXECUTED: "none: it was not triggered",
}
