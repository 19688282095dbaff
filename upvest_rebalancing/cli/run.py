"""The command ``run``: a rebalancing for every account of a file."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import attrs
import typer

from upvest_rebalancing.bulk.accounts import AccountList
from upvest_rebalancing.bulk.job import BulkJob
from upvest_rebalancing.bulk.plan import Batch, plan_batches
from upvest_rebalancing.bulk.summary import Summary
from upvest_rebalancing.bulk.writer import check_writable, write_results
from upvest_rebalancing.cli.inputs import read_accounts
from upvest_rebalancing.cli.options import EnvFile, Json, Timeout, Verbose
from upvest_rebalancing.cli.progress import JobProgress
from upvest_rebalancing.cli.reports import job_document, show_batches, show_summary
from upvest_rebalancing.cli.running import StoppedError, run_until_stopped
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.protocol.endpoints import new_idempotency_key
from upvest_rebalancing.sandbox import Sandbox, SandboxConfig
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings

DEFAULT_BATCH_SIZE = 500


@attrs.frozen
class _Order:
    """Everything that decides on a run."""

    listed: AccountList
    batches: tuple[Batch, ...]
    env_file: str
    sandbox: SandboxConfig | None
    concurrency: int
    timeout: float
    output: Path | None
    as_json: bool


@attrs.define
class _Run:
    """What a run has come to; it outlives the event loop, for the report after a signal."""

    client: RebalancingClient | None = None
    job: BulkJob | None = None


def run(  # noqa: PLR0917 - typer goes by the signature
    accounts: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNTS",
            help="A CSV file with a column account_id, a file with an account per line, or - for "
            "standard input.",
        ),
    ],
    batch_size: Annotated[
        int, typer.Option(min=1, help="Accounts that one trigger names.")
    ] = DEFAULT_BATCH_SIZE,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Batches that are triggered and followed at once.")
    ] = 8,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a result per account to this file, .csv or .jsonl; it is replaced.",
        ),
    ] = None,
    timeout: Timeout = 600.0,
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="Run against an embedded sandbox; needs no credentials."),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="What the sandbox's outcomes are drawn from. [default: 0]")
    ] = None,
    order_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="How long an order takes in the sandbox. [default: 2]"),
    ] = None,
    env_file: EnvFile = DEFAULT_ENV_FILE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Trigger a rebalancing for every account of a file and follow all orders to the end.

    Nothing is sent unless every line of the file can be used. Exit status: 0 all accounts have an
    order in a final status, 1 some do not, 2 the input or the configuration is wrong, 130 ended
    with Ctrl-C, 143 ended with SIGTERM.
    """
    screen = Screen.open()
    with screen.reporting():
        if output is not None:
            check_writable(output)
            _check_apart(output, accounts)
        listed = read_accounts(screen, accounts)
        order = _Order(
            listed=listed,
            batches=plan_batches(
                listed.accounts, batch_size=batch_size, new_key=new_idempotency_key
            ),
            env_file=env_file,
            sandbox=_sandbox_config(sandbox, seed, order_seconds),
            concurrency=concurrency,
            timeout=timeout,
            output=output,
            as_json=as_json,
        )
        status = _run(screen, order)
    raise typer.Exit(status)


def _check_apart(output: Path, source: str) -> None:
    if output.exists() and Path(source).exists() and output.samefile(source):
        message = f"--output {output} is the list of accounts itself; another file would be right"
        raise InvalidRequestError(message)


def _sandbox_config(
    wanted: bool,  # noqa: FBT001 - it is a command's flag
    seed: int | None,
    order_seconds: float | None,
) -> SandboxConfig | None:
    if not wanted:
        if seed is not None or order_seconds is not None:
            message = "--seed and --order-seconds are the sandbox's; add --sandbox to use them"
            raise InvalidRequestError(message)
        return None
    config = SandboxConfig()
    return SandboxConfig(
        seed=config.seed if seed is None else seed,
        order_seconds=config.order_seconds if order_seconds is None else order_seconds,
    )


def _run(screen: Screen, order: _Order) -> ExitStatus:
    run = _Run()
    try:
        run_until_stopped(_carry_out(screen, order, run))
    except StoppedError as stop:
        screen.remark(str(stop))
        _report(screen, order, run, is_interrupted=True)
        return stop.status
    except BaseException:
        # Whatever this is, what was triggered must be said before it ends the process.
        if run.job is not None:
            _report(screen, order, run, is_interrupted=True)
        raise
    return _report(screen, order, run, is_interrupted=False)


async def _carry_out(screen: Screen, order: _Order, run: _Run) -> None:
    async with AsyncExitStack() as stack:
        if order.sandbox is None:
            settings = Settings.from_env(order.env_file)
        else:
            sandbox = await stack.enter_async_context(Sandbox(order.sandbox))
            settings = Settings.from_env(None, environ=sandbox.environment())
        run.client = await stack.enter_async_context(RebalancingClient(settings))
        place = "an embedded sandbox" if order.sandbox else settings.base_url
        screen.remark(
            f"{len(order.listed.accounts):,} accounts in {len(order.batches):,} batches, "
            f"against {place}"
        )
        with JobProgress(screen, order.batches) as progress:
            run.job = BulkJob(
                run.client,
                order.batches,
                concurrency=order.concurrency,
                timeout=order.timeout,
                on_event=progress.add,
            )
            await run.job.run()


def _report(screen: Screen, order: _Order, run: _Run, *, is_interrupted: bool) -> ExitStatus:
    # A job that a signal forestalled has nothing to say but its plan.
    job = run.job or BulkJob(_no_client(), order.batches)
    ...
