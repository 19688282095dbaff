"""The command ``sandbox``: a local server that behaves as Upvest's API does."""

from __future__ import annotations

import asyncio
import enum
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from upvest_rebalancing.cli.options import Json
from upvest_rebalancing.cli.running import StoppedError, run_until_stopped
from upvest_rebalancing.cli.sandbox_faults import fault_list, parse_fault, show_faults
from upvest_rebalancing.cli.screen import Screen
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.errors import ConfigurationError, InvalidRequestError
from upvest_rebalancing.sandbox import Sandbox, SandboxConfig
from upvest_rebalancing.sandbox.credentials import check_replaceable

DEFAULTS = SandboxConfig()
DEFAULT_FILE = Path("sandbox.env")


class KeyType(enum.StrEnum):
    """The kinds of key that a sandbox makes for its client."""

    P521 = "p521"
    ED25519 = "ed25519"


class LimitKind(enum.StrEnum):
    """The ways in which a sandbox counts requests."""

    FIXED = "fixed"
    SLIDING = "sliding"
    BUCKET = "bucket"


# The sandbox's own types are literals, which typer takes only in its later versions.
_KEY_TYPES: Final[Mapping[KeyType, Literal["p521", "ed25519"]]] = {
    KeyType.P521: "p521",
    KeyType.ED25519: "ed25519",
}
_LIMIT_KINDS: Final[Mapping[LimitKind, Literal["fixed", "sliding", "bucket"]]] = {
    LimitKind.FIXED: "fixed",
    LimitKind.SLIDING: "sliding",
    LimitKind.BUCKET: "bucket",
}


def sandbox(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")
    ] = DEFAULTS.port,
    host: Annotated[str, typer.Option(help="The loopback address to listen at.")] = DEFAULTS.host,
    env_file: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Where to write the variables that a client needs; the private key goes into a "
            "file beside it. A file that is no sandbox's is never overwritten.",
        ),
    ] = DEFAULT_FILE,
    seed: Annotated[int, typer.Option(help="What outcomes are drawn from.")] = DEFAULTS.seed,
    key_type: Annotated[KeyType, typer.Option(help="The kind of private key.")] = KeyType.P521,
    rate_limit: Annotated[
        int, typer.Option(min=0, help="Requests per second and client; 0 sets no limit.")
    ] = DEFAULTS.rate_limit or 0,
    rate_limit_kind: Annotated[
        LimitKind, typer.Option(help="How requests are counted.")
    ] = LimitKind.FIXED,
    token_lifetime: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="How long a token lives.")
    ] = DEFAULTS.token_lifetime,
    order_seconds: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long an order takes, NEW to its end."),
    ] = DEFAULTS.order_seconds,
    moves_per_read: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="ORDERS",
            help="How many orders take a step before each read of a list, in place of the clock.",
        ),
    ] = DEFAULTS.moves_per_read,
    cancelled_share: Annotated[
        float, typer.Option(min=0, max=1, help="The share of orders that end cancelled.")
    ] = DEFAULTS.cancelled_share,
    allocation_accounts: Annotated[
        int, typer.Option(min=0, help="How many accounts an allocation stands for.")
    ] = DEFAULTS.allocation_accounts,
    scopes: Annotated[
        str,
        typer.Option(metavar="SCOPE,…", help="What the client may have, with commas between."),
    ] = ",".join(DEFAULTS.scopes),
    max_signature_lifetime: Annotated[
        int,
        typer.Option(min=1, metavar="SECONDS", help="The most from 'created' to 'expires'."),
    ] = DEFAULTS.max_signature_lifetime,
    clock_tolerance: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How far 'created' may lie ahead."),
    ] = DEFAULTS.clock_tolerance,
    clock_skew: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="How far the clock is ahead that signatures, tokens and the date header go by.",
        ),
    ] = DEFAULTS.clock_skew,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND[:NAME=VALUE,…]",
            help="What goes wrong, as listed above; may be given several times.",
        ),
    ] = None,
    list_faults: Annotated[  # noqa: ARG001 - the callback has done it by then
        bool,
        typer.Option(
            "--list-faults",
            callback=show_faults,
            is_eager=True,
            help="Show the kinds of fault with their parameters, and end.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve the API on this machine until Ctrl-C or SIGTERM.

    Writes the URL to standard output once it listens, and a file of variables that every other
    command takes with --env-file. Exit status: 0 stopped, 1 the port is taken, 2 an option is
    wrong.

    With --fault things go wrong, such as --fault reset-after-work:route=trigger,count=3. With any
    kind go route=token, trigger, execution, orders or verify_keys for the only calls that are
    struck; count=N for how many at most; probability=P; after=N for how many pass before; every=N
    for each N-th of the others. The kinds, and the parameters of their own:
    """
    screen = Screen.open()
    with screen.reporting():
        _check_ours(env_file)
        with refused_values():
            config = SandboxConfig(
                host=host,
                port=port,
                seed=seed,
                key_type=_KEY_TYPES[key_type],
                rate_limit=rate_limit or None,
                rate_limit_kind=_LIMIT_KINDS[rate_limit_kind],
                token_lifetime=token_lifetime,
                order_seconds=order_seconds,
                moves_per_read=moves_per_read,
                cancelled_share=cancelled_share,
                allocation_accounts=allocation_accounts,
                scopes=tuple(scopes.replace(",", " ").split()),
                max_signature_lifetime=max_signature_lifetime,
                clock_tolerance=clock_tolerance,
                clock_skew=clock_skew,
                faults=[parse_fault(text) for text in fault or ()],
            )
        try:
            run_until_stopped(_serve(screen, config, env_file, as_json=as_json))
        except StoppedError as stop:
            screen.remark(f"{stop}; the sandbox is closed")
        except OSError as error:
            message = f"the sandbox can't listen at {host}:{port}: {error.strerror}"
            screen.error(message)
            raise typer.Exit(ExitStatus.FAILED) from None


# The command's help is made from it; a list in two places would come apart.
sandbox.__doc__ = f"{inspect.cleandoc(sandbox.__doc__ or '')}\n\n{fault_list()}"


@contextmanager
def refused_values() -> Iterator[None]:
    """Turn a value that a sandbox's settings refuse into wrong input.

    Raises:
        InvalidRequestError: A value cannot be.
    """
    try:
        yield
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def _check_ours(env_file: Path) -> None:
    try:
        check_replaceable(env_file)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if not env_file.absolute().parent.is_dir():
        message = f"{env_file}: the directory {env_file.parent} does not exist"
        raise ConfigurationError(message)


async def _serve(screen: Screen, config: SandboxConfig, env_file: Path, *, as_json: bool) -> None:
    async with Sandbox(config) as server:
        try:
            path = server.write_env_file(env_file)
        except (OSError, ValueError) as error:
            message = f"{env_file} can't be written: {error}"
            raise ConfigurationError(message) from None
        if as_json:
            screen.json({"url": server.url, "env_file": str(path)})
        else:
            screen.result(server.url)
            screen.out.file.flush()
            screen.remark(f"variables for clients: {path}")
            screen.remark(f"try: upvest-rebalancing check --env-file {env_file}")
            screen.remark("Ctrl-C stops it")
        await asyncio.Event().wait()
