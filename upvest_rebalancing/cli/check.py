"""The command ``check``: is this set up to talk to Upvest, and if not, what is to be done."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import attrs
from rich.text import Text

from upvest_rebalancing.cli.options import EnvFile, Json, Verbose
from upvest_rebalancing.cli.running import run_until_stopped
from upvest_rebalancing.cli.screen import Screen, is_refused, plain
from upvest_rebalancing.cli.statuses import ExitStatus
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import ConfigurationError, RequestError, ScopeError, TokenError
from upvest_rebalancing.models import Authentication
from upvest_rebalancing.settings import DEFAULT_ENV_FILE, Settings

WARNING_SKEW = 2.0
"""Seconds that the clocks may be apart before it is worth a word."""

NEEDED_SCOPE = "portfolios:admin"
"""What triggering needs; it reads as well."""

_KEY_VARIABLE = "HTTP_SIGN_PRIVATE_KEY"


class Verdict(enum.StrEnum):
    """How a step of the check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen
class Step:
    """One step of the check.

    Attributes:
        name: What was looked at.
        verdict: How it ended.
        found: What was found.
        advice: What to do about it; empty where there is nothing to do.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def check(
    *,
    env_file: EnvFile = DEFAULT_ENV_FILE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check the settings, the key, the token, the clock and the scopes, one by one.

    Triggers nothing. Exit status: 0 all is well (a warning may be among it), 1 the server could not
    be asked, 2 the settings, the key, the credentials or the scopes are wrong.
    """
    screen = Screen.open(verbose=verbose)
    with screen.reporting():
        steps, status = run_until_stopped(_check(env_file))
        if as_json:
            screen.json(_document(steps, status))
        else:
            _show(screen, steps)
        screen.end(status)


async def _check(env_file: str) -> tuple[list[Step], ExitStatus]:
    try:
        settings = Settings.from_env(env_file)
    except ConfigurationError as error:
        skipped = [_skipped("token"), _skipped("clock"), _skipped("scopes")]
        return settings_steps(error.problems) + skipped, ExitStatus.WRONG_INPUT
    steps = [
        Step("settings", Verdict.OK, f"client {settings.client_id} at {settings.base_url}"),
        Step("key", Verdict.OK, f"{settings.private_key.algorithm}, key id {settings.key_id}"),
    ]
    client = RebalancingClient(settings)
    try:
        async with client:
            authentication = await client.authenticate()
    except ScopeError as error:
        token = Step("token", Verdict.OK, "the signed request was accepted")
        clock = clock_step(client.clock_skew)
        return [*steps, token, clock, _refused_scopes(error)], ExitStatus.WRONG_INPUT
    except RequestError as error:
        status = ExitStatus.WRONG_INPUT if is_refused(error) else ExitStatus.FAILED
        skew = client.clock_skew
        clock = _skipped("clock") if skew is None else clock_step(skew)
        return [*steps, token_step(error), clock, _skipped("scopes")], status
    skew = authentication.clock_skew if client.clock_skew is None else client.clock_skew
    steps += [
        Step(
            "token",
            Verdict.OK,
            f"the signed request was accepted; the token lives {authentication.lifetime:g} s",
        ),
        clock_step(skew),
        scopes_step(authentication),
    ]
    if steps[-1].verdict is Verdict.FAILED:
        return steps, ExitStatus.WRONG_INPUT
    failed = any(step.verdict is Verdict.FAILED for step in steps)
    return steps, ExitStatus.FAILED if failed else ExitStatus.DONE


def settings_steps(problems: Iterable[str]) -> list[Step]:
    """Sort what is wrong with the configuration into the steps ``settings`` and ``key``.

    Args:
        problems: Every problem, each naming its variable.

    Returns:
        Both steps.
    """
    found = list(problems)
    key = [problem for problem in found if _KEY_VARIABLE in problem]
    rest = [problem for problem in found if _KEY_VARIABLE not in problem]
    return [
        Step(
            "settings",
            Verdict.FAILED,
            "; ".join(rest),
            "Set these variables in the environment, or in the file that --env-file names.",
        )
        if rest
        else Step("settings", Verdict.OK, "complete"),
        Step(
            "key",
            Verdict.FAILED,
            "; ".join(key),
            "Name the private key whose public key Upvest has, and its passphrase.",
        )
        if key
        else Step("key", Verdict.OK, "it loads"),
    ]


def token_step(error: RequestError) -> Step:
    """Say why there is no token, and what to do.

    Args:
        error: What the token request ended with.

    Returns:
        The step.
    """
    said = f"{error.error} {error.detail}" if isinstance(error, TokenError) else ""
    if is_refused(error) and "scope" in said.lower():
        advice = (
            "Ask Upvest to grant these scopes to this client, or take them out of "
            "UPVEST_API_SCOPES."
        )
    elif is_refused(error):
        advice = (
            "Compare UPVEST_API_CLIENT_ID, UPVEST_API_CLIENT_SECRET and UPVEST_API_KEY_ID with "
            "what Upvest gave out, and the public key that it has with this private key."
        )
    else:
        advice = "Check that this machine reaches UPVEST_API_BASE_URL, then try again."
    return Step("token", Verdict.FAILED, str(error), advice)


def clock_step(skew: float | None) -> Step:
    """Judge how far the clocks are apart.

    Args:
        skew: Seconds that the server's clock is ahead; None where it was not measured.

    Returns:
        The step; never a failure, as the client corrects its signatures.
    """
    if skew is None:
        advice = "Compare this machine's clock with a time server's."
        return Step("clock", Verdict.WARNING, "the server did not say its time", advice)
    found = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the server"
    if abs(skew) < WARNING_SKEW:
        return Step("clock", Verdict.OK, found)
    advice = (
        "The client corrects its signatures by the server's time; set this machine's clock by a "
        "time server all the same."
    )
    return Step("clock", Verdict.WARNING, found, advice)


def scopes_step(authentication: Authentication) -> Step:
    """Judge what the token grants.

    Args:
        authentication: What the token request brought.

    Returns:
        The step; a failure without the scope that triggering needs.
    """
    granted = ", ".join(authentication.scopes) or "none"
    if NEEDED_SCOPE in authentication.scopes:
        return Step("scopes", Verdict.OK, granted)
    return Step(
        "scopes",
        Verdict.FAILED,
        f"{NEEDED_SCOPE} is missing; granted: {granted}",
        f"Add {NEEDED_SCOPE} to UPVEST_API_SCOPES, or unset it.",
    )


def _refused_scopes(error: ScopeError) -> Step:
    return Step(
        "scopes",
        Verdict.FAILED,
        f"not granted: {', '.join(error.missing)}; granted: {', '.join(error.granted) or 'none'}",
        "Ask Upvest to grant them to this client, or take them out of UPVEST_API_SCOPES.",
    )


def _skipped(name: str) -> Step:
    return Step(name, Verdict.SKIPPED, "a step before it failed")


def _document(steps: Iterable[Step], status: ExitStatus) -> dict[str, Any]:
    return {"ok": status is ExitStatus.DONE, "steps": [attrs.asdict(step) for step in steps]}


_MARKS = {
    Verdict.OK: ("✓", "+", "green"),
    Verdict.WARNING: ("!", "!", "yellow"),
    Verdict.FAILED: ("✗", "x", "bold red"),
    Verdict.SKIPPED: ("-", "-", "dim"),
}


def _show(screen: Screen, steps: Iterable[Step]) -> None:
    is_unicode = screen.out.encoding.lower().startswith("utf")
    for step in steps:
        sign, ascii_sign, style = _MARKS[step.verdict]
        line = Text.assemble(
            (sign if is_unicode else ascii_sign, style),
            f" {step.name:<8}  {plain(step.found)}",
        )
        screen.out.print(line, soft_wrap=True)
        if step.advice:
            screen.result(f"  {'':<8}  {step.advice}")
