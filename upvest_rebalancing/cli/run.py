"""The command ``run``: a rebalancing for every account of a file."""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Annotated

import attrs
import typer

from upvest_rebalancing.bulk.accounts import AccountList
from upvest_rebalancing.bulk.batches import Stage
from upvest_rebalancing.bulk.job import BulkJob
from upvest_rebalancing.bulk.plan import Batch, plan_batches
from upvest_rebalancing.bulk.summary import Summary
from upvest_rebalancing.bulk.writer import ResultsFile, result_format
from upvest_rebalancing.cli.inputs import read_accounts
from upvest_rebalancing.cli.options import EnvFile, Json, Timeout, Verbose
from upvest_rebalancing.cli.progress import JobProgress
from upvest_rebalancing.cli.reports import job_document, number_of, show_batches, show_summary
from upvest_rebalancing.cli.running import Signals, StoppedError
from upvest_rebalancing.cli.sandbox import DEFAULTS, refused_values
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import InvalidRequestError, RebalancingError
from upvest_rebalancing.protocol.endpoints import new_idempotency_key
from upvest_rebalancing.sandbox import Sandbox, SandboxConfig
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings
from upvest_rebalancing.statistics import Statistics

DEFAULT_BATCH_SIZE = 500


@attrs.define
class _Run:
    """What a run is to do and what has come of it; it outlives the event loop, for the report."""

    listed: AccountList
    batches: tuple[Batch, ...]
    job: BulkJob
    progress: JobProgress
    env_file: str
    sandbox: SandboxConfig | None
    output: ResultsFile | None
    as_json: bool
    statistics: Statistics = attrs.field(factory=Statistics)


def run(
    accounts: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNTS",
            help="A CSV file with a column account_id, a file with an account per line, or - for "
            "standard input.",
        ),
    ],
    *,
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
    screen = Screen.open(verbose=verbose)
    with screen.reporting(), ExitStack() as stack:
        if output is not None:
            _check_apart(output, accounts)
        listed = read_accounts(screen, accounts)
        batches = plan_batches(listed.accounts, batch_size=batch_size, new_key=new_idempotency_key)
        # All of it lives as long as the command: looking through it for garbage again and again
        # would make each account cost more the more there are.
        if not gc.get_freeze_count():
            gc.freeze()
            stack.callback(gc.unfreeze)
        config = _sandbox_config(wanted=sandbox, seed=seed, order_seconds=order_seconds)
        progress = JobProgress(screen, batches)
        job = BulkJob(batches, concurrency=concurrency, timeout=timeout, on_event=progress.add)
        signals = stack.enter_context(Signals())
        # Made before the first request: where it can't be written, nothing is sent.
        file = None if output is None else stack.enter_context(ResultsFile(output))
        status = _carry_out(
            screen,
            signals,
            _Run(
                listed=listed,
                batches=batches,
                job=job,
                progress=progress,
                env_file=env_file,
                sandbox=config,
                output=file,
                as_json=as_json,
            ),
        )
        screen.end(status)


def _check_apart(output: Path, source: str) -> None:
    result_format(output)
    try:
        is_same = output.samefile(source)
    except (OSError, ValueError):
        # One of them does not exist, or can't be looked at: whoever opens it says so.
        return
    if is_same:
        message = f"--output {output} is the list of accounts itself; another file would be right"
        raise InvalidRequestError(message)


def _sandbox_config(
    *,
    wanted: bool,
    seed: int | None,
    order_seconds: float | None,
) -> SandboxConfig | None:
    if not wanted:
        if seed is not None or order_seconds is not None:
            message = "--seed and --order-seconds are the sandbox's; add --sandbox to use them"
            raise InvalidRequestError(message)
        return None
    with refused_values():
        return SandboxConfig(
            seed=DEFAULTS.seed if seed is None else seed,
            order_seconds=DEFAULTS.order_seconds if order_seconds is None else order_seconds,
        )


def _carry_out(screen: Screen, signals: Signals, run: _Run) -> ExitStatus:
    try:
        signals.run(_run(screen, run))
    except StoppedError as stop:
        screen.remark(str(stop))
        _report(screen, run, is_interrupted=True)
        return stop.status
    except RebalancingError:
        # From the settings or the first token: the job has not begun.
        raise
    except BaseException:
        # Whatever it is, what was triggered must be said before it ends the process.
        _report(screen, run, is_interrupted=True)
        raise
    return _report(screen, run, is_interrupted=False)


async def _run(screen: Screen, run: _Run) -> None:
    async with AsyncExitStack() as stack:
        if run.sandbox is None:
            settings = Settings.from_env(run.env_file)
            place = settings.base_url
        else:
            sandbox = await stack.enter_async_context(Sandbox(run.sandbox))
            settings = Settings.from_env(None, environ=sandbox.environment())
            place = "an embedded sandbox"
        client = await stack.enter_async_context(
            RebalancingClient(settings, on_attempt=run.job.hook())
        )
        screen.remark(
            f"{number_of(len(run.listed.accounts), 'account', 'accounts')} in "
            f"{number_of(len(run.batches), 'batch', 'batches')}, against {place}"
        )
        try:
            # Wrong credentials come out here, once, and not again for every batch.
            await client.authenticate()
            with run.progress:
                await run.job.run(client)
        finally:
            run.statistics = client.statistics


def _report(screen: Screen, run: _Run, *, is_interrupted: bool) -> ExitStatus:
    job = run.job
    job.stop()
    # First of all, as it needs no terminal, no pipe and no reader.
    written = _write(screen, run)
    summary = Summary.of(
        job.results(),
        seconds=job.seconds,
        requests=run.statistics.requests,
        retries=run.statistics.retries,
    )
    reports = job.reports()
    is_done = summary.is_final and all(report.stage is Stage.DONE for report in reports)
    final = f"{summary.final:,} of {summary.accounts:,}"
    screen.remark(f"{final} accounts are final after {summary.seconds:.1f} s")
    if summary.is_final and not is_done:
        screen.error("following some batches ended before their executions were known to be final")
    if run.as_json:
        document = job_document(
            summary,
            reports,
            repeated=len(run.listed.repeats),
            output=str(run.output.path) if run.output is not None and written else None,
            is_interrupted=is_interrupted,
        )
        screen.json(document)
    else:
        show_summary(screen, summary)
        if is_interrupted or not is_done or not written:
            screen.result()
            show_batches(screen, reports)
    if screen.stream.lost is not None:
        # Nobody has read it; standard error may have a reader.
        show_batches(screen, reports, write=screen.remark)
    return ExitStatus.DONE if is_done and written else ExitStatus.FAILED


def _write(screen: Screen, run: _Run) -> bool:
    if run.output is None:
        return True
    path = run.output.path
    try:
        run.output.write(run.job.results())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        screen.error(f"the results could not be written to {path}: {reason}")
        return False
    screen.remark(f"a result per account is in {path}")
    return True
