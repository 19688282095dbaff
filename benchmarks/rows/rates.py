"""Signed GETs per second on one event loop, against signing plus a bare aiohttp GET."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Final

import attrs

from benchmarks import pages
from benchmarks.fixtures import EXECUTION, Key, bare_session
from benchmarks.loopback import Loopback
from benchmarks.measuring import Contender, Figure, Turn, compete, drive, times
from benchmarks.peers import httpx_signed
from benchmarks.peers.upvest import UpvestClient
from benchmarks.results import TIMES, Check, Goal, Row, duration, per_second
from benchmarks.rows.signing import signed_bytes

PATH: Final = f"{pages.EXECUTIONS}/{EXECUTION}"

_TASKS: Final = 16
_TURN: Final = 0.25
"""Seconds for one turn of a contender."""

_SIGNATURE: Final = "the bare signature"
_BARE: Final = "bare aiohttp, unsigned, 16 tasks"
_TOGETHER: Final = "a bare signature, then a bare GET, 16 tasks"
_OURS: Final = "ours, by default, 16 tasks"
_INLINE: Final = "ours, signing on the loop, 16 tasks"
_UPVEST: Final = ("Upvest's own package, 1 thread", "Upvest's own package, 16 threads")


@attrs.frozen
class _Goals:
    of_limit: Goal
    of_upvest: Goal


_GOALS: Final = {
    "P-521": _Goals(Goal("at least", 0.92), Goal("at least", 3.5)),
    "Ed25519": _Goals(Goal("at least", 0.85), Goal("at least", 9)),
}


def measure(seconds: float) -> Sequence[Row]:
    """Measure both kinds of keys."""
    customary = Key.p521()
    keys = (customary, Key.ed25519())
    return [asyncio.run(_measure(key, customary, seconds / len(keys))) for key in keys]


async def _measure(key: Key, customary: Key, seconds: float) -> Row:
    with ExitStack() as processes:
        server = processes.enter_context(Loopback())
        # It signs with P-521 only, whatever the others do.
        theirs = processes.enter_context(UpvestClient(customary, server.url + PATH, _TASKS))
        async with AsyncExitStack() as clients:
            enter = clients.enter_async_context
            inline = await enter(key.client(server.url, signing_threads=0))
            ours = await enter(key.client(server.url))
            bare = await enter(bare_session())
            signed = await enter(httpx_signed.client(key.signer(), server.url))
            base = signed_bytes()

            async def get_bare() -> None:
                async with bare.get(server.url + PATH) as response:
                    await response.read()

            async def sign_and_get_bare() -> None:
                key.sign(base)
                await get_bare()

            async def get_with_httpx() -> None:
                (await signed.get(PATH)).raise_for_status().json()

            calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
                ("bare aiohttp, unsigned", get_bare),
                ("a bare signature, then a bare GET", sign_and_get_bare),
                ("ours, signing on the loop", lambda: inline.execution(EXECUTION)),
                ("ours, by default", lambda: ours.execution(EXECUTION)),
                ("httpx with our signer", get_with_httpx),
            ]
            contenders = [
                Contender(f"{name}, {tasks} task{'s' if tasks > 1 else ''}", _turn(call, tasks))
                for name, call in calls
                for tasks in (_TASKS, 1)
            ]
            contenders += [
                Contender(name, theirs.turn(threads=threads, seconds=_TURN))
                for name, threads in zip(_UPVEST, (1, _TASKS), strict=True)
            ]
            sign = times(100, lambda: key.sign(base))
            contenders.append(Contender(_SIGNATURE, sign, "signature"))
            figures = await compete(contenders, seconds=seconds, server=server)
    return _row(key.name, figures)


def _turn(call: Callable[[], Awaitable[object]], tasks: int) -> Turn:
    return lambda: drive(call, tasks=tasks, seconds=_TURN)


def _row(kind: str, figures: dict[str, Figure]) -> Row:
    ours, inline, together = figures[_OURS], figures[_INLINE], figures[_TOGETHER]
    bare, signature = figures[_BARE], figures[_SIGNATURE]
    limit = 1 / (signature.wall + bare.wall)
    upvest = max((figures[name] for name in _UPVEST), key=lambda figure: figure.rate)
    goals = _GOALS[kind]
    return Row(
        name=f"signed GETs per second, {kind}",
        checks=[
            Check(
                what="of 1 / (bare signature + bare GET)",
                measured=per_second(ours.rate),
                against=per_second(limit),
                value=ours.rate / limit,
                goal=goals.of_limit,
            ),
            Check(
                what=f"of {upvest.name}" + ("" if kind == "P-521" else " (with P-521)"),
                measured=per_second(ours.rate),
                against=per_second(upvest.rate),
                value=ours.rate / upvest.rate,
                goal=goals.of_upvest,
            ),
        ],
        figures=list(figures.values()),
        notes=_notes(inline, together, bare, signature, limit / upvest.rate),
    )


def _notes(
    inline: Figure, together: Figure, bare: Figure, signature: Figure, best_of_upvest: float
) -> list[str]:
    apart = signature.wall + bare.wall
    best = (
        f"On one core: a bare signature takes {duration(signature.wall)} and a bare GET "
        f"{duration(bare.wall)} when nothing else is done, and {duration(together.wall)} in turns "
        f"on one loop, which is {apart / together.wall:.2f} of the limit's speed. The limit itself "
        f"is {best_of_upvest:.2f} {TIMES} the speed of Upvest's package."
    )
    own = (
        f"Ours with the signature on the loop takes {duration(inline.wall)}, which is "
        f"{together.wall / inline.wall:.2f} of the speed of those two in turns. The "
        f"{duration(inline.wall - together.wall)} between them are for the request, the token, the "
        "throttle, retries, the deadline, reading the answer and the model."
    )
    return [best, own]
