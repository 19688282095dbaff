"""Decoding a page of 1,000 orders into models, against msgspec into classes of the same shape.

As in `signing`, processor time is what is judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from benchmarks import pages
from benchmarks.measuring import Contender, compete, times
from benchmarks.peers import decoders
from benchmarks.results import Check, Goal, Row, duration
from upvest_rebalancing.protocol import codec
from upvest_rebalancing.protocol.messages import Response

_OURS: Final = "ours"
_MSGSPEC: Final = "msgspec into attrs classes"
_CATTRS: Final = "plain cattrs and json"
_PAGES: Final = 30
"""Pages in one turn: enough for the garbage collector to have its part, as it has in a walk."""


def measure(seconds: float) -> Sequence[Row]:
    """Measure one page: a tenth of it cancelled, with reasons; the rest filled."""
    identifier = str(pages.execution_id(10_000))
    body = pages.page(identifier, offset=900, limit=pages.PAGE_SIZE)
    headers = {"content-type": "application/json", "upvest-request-id": identifier}
    with_msgspec, with_cattrs = decoders.with_msgspec(), decoders.with_cattrs()
    actions: dict[str, Callable[[], object]] = {
        _OURS: lambda: codec.decode_page(Response(status=200, headers=headers, body=body)),
        _MSGSPEC: lambda: with_msgspec(body),
        _CATTRS: lambda: with_cattrs(body),
        "orjson, no models": lambda: orjson.loads(body),
    }
    contenders = [
        Contender(name, times(_PAGES, action), "page") for name, action in actions.items()
    ]
    figures = asyncio.run(compete(contenders, seconds=seconds, least=10))
    ours, msgspec, cattrs = (figures[name] for name in (_OURS, _MSGSPEC, _CATTRS))
    return [
        Row(
            name="decoding a page of 1,000 orders",
            checks=[
                Check(
                    what="speed against msgspec",
                    measured=duration(ours.cpu),
                    against=duration(msgspec.cpu),
                    value=msgspec.cpu / ours.cpu,
                    goal=Goal("at least", 0.8),
                ),
                Check(
                    what="speed against plain cattrs",
                    measured=duration(ours.cpu),
                    against=duration(cattrs.cpu),
                    value=cattrs.cpu / ours.cpu,
                    goal=Goal("at least", 2.5),
                ),
            ],
            figures=list(figures.values()),
            notes=[f"The page has {len(body):,} bytes."],
        )
    ]
