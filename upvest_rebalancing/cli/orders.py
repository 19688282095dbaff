"""The commands ``execution`` and ``orders``: read what was triggered."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from upvest_rebalancing.cli.options import EnvFile, Json, Verbose
from upvest_rebalancing.cli.order_rows import OrderFormat, order_writer
from upvest_rebalancing.cli.running import run_until_stopped
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.models import Execution, WalkVerdict
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings

ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="The execution's id.")]


def execution(
    execution_id: ExecutionId,
    *,
    env_file: EnvFile = DEFAULT_ENV_FILE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show one execution.

    Exit status: 0 shown, 1 the call failed, 2 the input or the configuration is wrong.
    """
    screen = Screen.open(verbose=verbose)
    with screen.reporting():
        found = run_until_stopped(_execution(env_file, execution_id))
        if as_json:
            screen.json(
                {
                    "id": str(found.id),
                    "created_at": found.created_at.isoformat(),
                    "updated_at": found.updated_at.isoformat(),
                    "accounts": None if found.accounts is None else [*map(str, found.accounts)],
                    "allocations": (
                        None if found.allocations is None else [*map(str, found.allocations)]
                    ),
                }
            )
        else:
            screen.table(
                {
                    "execution": str(found.id),
                    "created": found.created_at.isoformat(),
                    "updated": found.updated_at.isoformat(),
                    "accounts": _count(found.accounts),
                    "allocations": _count(found.allocations),
                }
            )
        screen.end(ExitStatus.DONE)


async def _execution(env_file: str, execution_id: str) -> Execution:
    async with RebalancingClient(Settings.from_env(env_file)) as client:
        return await client.execution(execution_id)


def orders(
    execution_id: ExecutionId,
    *,
    output_format: Annotated[
        OrderFormat, typer.Option("--format", help="How to write them.")
    ] = OrderFormat.TABLE,
    page_size: Annotated[int, typer.Option(min=1, max=1000, help="Orders per request.")] = 1000,
    start_date: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only orders from and including this date.")
    ] = None,
    end_date: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only orders up until this date.")
    ] = None,
    env_file: EnvFile = DEFAULT_ENV_FILE,
    verbose: Verbose = False,
) -> None:
    """List an execution's orders; they are written as they arrive.

    Whether the list is complete is said on standard error: it moves while it is read. Exit status:
    0 complete, 1 orders are missing or the call failed, 2 the input or the configuration is wrong.
    """
    screen = Screen.open(verbose=verbose)

    async def walk() -> WalkVerdict:
        async with RebalancingClient(Settings.from_env(env_file)) as client:
            found = client.orders(
                execution_id, page_size=page_size, start_date=start_date, end_date=end_date
            )
            write_order = order_writer(
                output_format, screen.stream.write, encoding=screen.stream.encoding
            )
            async for page in found.pages():
                for order in page.data:
                    write_order(order)
                screen.stream.flush()
                if screen.stream.lost is not None:
                    # Nobody reads on: what is left need not be asked for.
                    screen.end(ExitStatus.FAILED)
            return found.verdict

    with screen.reporting():
        verdict = run_until_stopped(walk())
        screen.remark(
            f"{'complete' if verdict.complete else 'incomplete'}: {verdict.seen:,} of "
            f"{verdict.expected:,} orders in {verdict.pages:,} pages; {verdict.reason}"
        )
        screen.end(ExitStatus.DONE if verdict.complete else ExitStatus.FAILED)


def _count(ids: tuple[UUID, ...] | None) -> str:
    return f"{len(ids):,} (named with --json)" if ids else "none named"
