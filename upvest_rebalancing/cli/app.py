"""The application: all commands, and the options before them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from upvest_rebalancing._version import __version__
from upvest_rebalancing.cli.check import check
from upvest_rebalancing.cli.logs import log_to_stderr
from upvest_rebalancing.cli.options import Verbose
from upvest_rebalancing.cli.orders import execution, orders
from upvest_rebalancing.cli.run import run
from upvest_rebalancing.cli.sandbox import sandbox
from upvest_rebalancing.cli.trigger import trigger

# Rich tracebacks show local variables, and those of this package hold secrets.
app = typer.Typer(
    name="upvest-rebalancing",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer hands the option's value over
    if value:
        sys.stdout.write(f"upvest-rebalancing {__version__}\n")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[  # noqa: ARG001 - the callback has done it by then
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Rebalance portfolios by Upvest's API: whole files of accounts, or one trigger at a time.

    Settings come from UPVEST_API_… variables, in the environment or in a .env file; 'check' says
    whether they work, and 'run --sandbox' tries everything without any.
    """
    if verbose:
        log_to_stderr()


for command in (run, trigger, execution, orders, check, sandbox):
    app.command()(command)
