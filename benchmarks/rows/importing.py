"""What `import upvest_rebalancing` takes, against `import aiohttp`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.fixtures import Key
from benchmarks.measuring import Contender, Figure, Sample, Turn, compete
from benchmarks.processes import python
from benchmarks.results import TIMES, Check, Goal, Row, duration

_PATIENCE: Final = 30.0

_TIMED: Final = """
import json, time
cpu, wall = time.process_time(), time.perf_counter()
{statement}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu]))
"""

_OPEN_CLIENT: Final = """
import asyncio
from upvest_rebalancing import RebalancingClient
async def main():
    async with RebalancingClient.from_env(None):
        pass
asyncio.run(main())
"""

_OPEN_SESSION: Final = """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession():
        pass
asyncio.run(main())
"""

_AIOHTTP: Final = "import aiohttp"
_PACKAGE: Final = "import upvest_rebalancing"
_CLIENT: Final = "from upvest_rebalancing import RebalancingClient"
_NEEDED: Final = (
    "import aiohttp, attrs, msgspec; "
    "from cryptography.hazmat.primitives.serialization import load_pem_private_key"
)
_READY: Final = "a client that could send its first signed request"
_STATEMENTS: Final[Mapping[str, str]] = {
    _AIOHTTP: _AIOHTTP,
    _PACKAGE: _PACKAGE,
    _CLIENT: _CLIENT,
    "aiohttp, attrs, msgspec and cryptography's loading of keys": _NEEDED,
    _READY: _OPEN_CLIENT,
    "a session of aiohttp's that could send its first request": _OPEN_SESSION,
}


def measure(seconds: float) -> Sequence[Row]:
    """Import in fresh processes, in turns."""
    environ = Key.p521().environment("http://127.0.0.1:1")
    with TemporaryDirectory() as compiled:
        # As after an installation, where nobody compiles: the turns that do not count do it here.
        environ |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        contenders = [
            Contender(
                f"`{name}`" if name == statement else name, _turn(statement, environ), "import"
            )
            for name, statement in _STATEMENTS.items()
        ]
        found = asyncio.run(compete(contenders, seconds=seconds))
    figures = dict(zip(_STATEMENTS, found.values(), strict=True))
    aiohttp = figures[_AIOHTTP]
    checks = [
        Check(
            what=what,
            measured=duration(figures[name].wall),
            against=f"{duration(aiohttp.wall)} for `{_AIOHTTP}`",
            value=figures[name].wall / aiohttp.wall,
            goal=Goal("at most", 1.25),
        )
        for name, what in ((_PACKAGE, ""), (_CLIENT, f"`{_CLIENT}`"))
    ]
    needed = figures["aiohttp, attrs, msgspec and cryptography's loading of keys"]
    return [
        Row(
            name="`import upvest_rebalancing`",
            checks=checks,
            figures=list(found.values()),
            notes=_notes(aiohttp, needed, figures[_READY]),
        )
    ]


def _turn(statement: str, environ: Mapping[str, str]) -> Turn:
    def turn() -> Sample:
        output = python(
            "-c", _TIMED.format(statement=statement), timeout=_PATIENCE, environ=environ
        )
        wall, cpu = json.loads(output)
        return Sample(count=1, wall=wall, cpu=cpu)

    return turn


def _notes(aiohttp: Figure, needed: Figure, ready: Figure) -> list[str]:
    way = (
        "What no signing client on aiohttp can do without (aiohttp, attrs, msgspec, and what loads "
        f"a key in cryptography) takes {needed.wall / aiohttp.wall:.2f} {TIMES} `{_AIOHTTP}`; the "
        "client's own modules come on top of that."
    )
    wait = duration(ready.wall)
    return [way, f"From nothing to a client that could send its first signed request: {wait}."]
