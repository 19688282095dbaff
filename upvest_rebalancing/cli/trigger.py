"""The command ``trigger``: one rebalancing."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import typer

from upvest_rebalancing.cli.inputs import read_accounts
from upvest_rebalancing.cli.options import EnvFile, Json, Timeout, Verbose
from upvest_rebalancing.cli.reports import show_counts
from upvest_rebalancing.cli.running import StoppedError, run_until_stopped
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import InvalidRequestError, WaitTimeoutError
from upvest_rebalancing.models import ExecutionOutcome, TriggeredExecution
from upvest_rebalancing.protocol.endpoints import (
    check_idempotency_key,
    identifier,
    new_idempotency_key,
)
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings


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
        try:
            run_until_stopped(_run(env_file, order))
        except StoppedError:
            _show(screen, order, as_json=as_json)
            raise
        _show(screen, order, as_json=as_json)
    raise typer.Exit(ExitStatus.FAILED if order.is_late else ExitStatus.DONE)


def _once(screen: Screen, ids: list[str]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(ids))
    if len(unique) < len(ids):
        screen.remark(f"{len(ids) - len(unique):,} repeated; each is sent once")
    return unique


async def _run(env_file: str, order: _Trigger) -> None:
    async with RebalancingClient(Settings.from_env(env_file)) as client:
        order.triggered = await client.trigger(
            accounts=order.accounts or None,
            allocations=order.allocations or None,
            idempotency_key=order.key,
        )
        if order.timeout is None:
            return

        def progressed(outcome: ExecutionOutcome) -> None:
            order.outcome = outcome

        try:
            order.outcome = await client.wait(
                order.triggered.id, timeout=order.timeout, on_progress=progressed
            )
        except WaitTimeoutError as error:
            order.outcome = error.outcome or order.outcome
            order.is_late = True


def _show(screen: Screen, order: _Trigger, *, as_json: bool) -> None:
    triggered, outcome = order.triggered, order.outcome
    if as_json:
        document: dict[str, Any] = {
            "id": None if triggered is None else str(triggered.id),
            "idempotency_key": order.key,
            "request_id": None if triggered is None else triggered.request_id,
            "attempts": 0 if triggered is None else len(triggered.attempts),
        }
        if order.timeout is not None:
            document["final"] = outcome is not None and outcome.is_final
            document["by_status"] = {} if outcome is None else dict(outcome.by_status)
        screen.json(document)
    else:
        execution = "unknown: it may have been triggered" if triggered is None else triggered.id
        screen.table({"execution": str(execution), "idempotency key": order.key})
        if outcome is not None:
            screen.result()
            show_counts(screen, "status", {str(k): n for k, n in outcome.by_status.items()})
    if order.is_late:
        screen.error(f"not every order was final after {order.timeout:g} s")
