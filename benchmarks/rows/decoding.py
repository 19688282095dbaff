"""Decoding a page of 1,000 orders into models, against msgspec into classes of the same shape.

As in `signing`, processor time is what is judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson

from benchmarks import pages
from benchmarks.measuring import Contender, Figure, compete, times
from benchmarks.peers import decoders
from benchmarks.results import Check, Goal, Row, duration
from upvest_rebalancing.protocol import codec
from upvest_rebalancing.protocol.messages import Response

_OURS: Final = "ours"
_MSGSPEC: Final = "msgspec into attrs classes"
_PAUSED: Final = "the same, garbage collection put off as ours puts it off"
_ROWS: Final = "the same, and a copy of each row's bytes"
_CATTRS: Final = "plain cattrs and json"
_PAGES: Final = 30
"""Pages in one turn: enough for the garbage collector to have its part, as it has in a walk."""


def measure(seconds: float) -> Sequence[Row]:
    """Measure one page: a tenth of it cancelled, with reasons; the rest filled."""
    identifier = str(pages.execution_id(10_000))
    body = pages.page(identifier, offset=900, limit=pages.PAGE_SIZE)
    headers = {"content-type": "application/json", "upvest-request-id": identifier}
    with_msgspec, with_cattrs = decoders.with_msgspec(), decoders.with_cattrs()
    with_rows = decoders.with_msgspec_and_rows()
    actions: dict[str, Callable[[], object]] = {
        _OURS: lambda: codec.decode_page(Response(status=200, headers=headers, body=body)),
        _MSGSPEC: lambda: with_msgspec(body),
        _PAUSED: lambda: decoders.without_collection(with_msgspec, body),
        _ROWS: lambda: decoders.without_collection(with_rows, body),
        _CATTRS: lambda: with_cattrs(body),
        "orjson, no models": lambda: orjson.loads(body),
    }
    contenders = [
        Contender(name, times(_PAGES, action), "page") for name, action in actions.items()
    ]
    # How dear a collection is depends on what else a process holds: judged is what does not.
    figures, as_usual = (
        asyncio.run(compete(contenders, seconds=seconds / 2, is_frozen=is_frozen))
        for is_frozen in (True, False)
    )
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
            notes=_notes(figures, as_usual, len(body)),
        )
    ]


def _notes(figures: Mapping[str, Figure], as_usual: Mapping[str, Figure], size: int) -> list[str]:
    ours, paused, rows = (figures[name] for name in (_OURS, _PAUSED, _ROWS))
    kept, handed = duration(rows.cpu - paused.cpu), duration(ours.cpu - rows.cpu)
    way = (
        f"What ours adds to msgspec: {kept} to keep each order's own JSON, so that a kept order "
        f"keeps no page, and {handed} to hand it over, to see that each time is in UTC, and to "
        "check the answer. What it saves is garbage collection: "
        f"{duration(figures[_MSGSPEC].cpu - paused.cpu)}."
    )
    usual = (
        "With what this process holds left to the collector as well, as a service has it, ours "
        f"takes {duration(as_usual[_OURS].cpu)} and msgspec {duration(as_usual[_MSGSPEC].cpu)}: "
        f"{as_usual[_MSGSPEC].cpu / as_usual[_OURS].cpu:.2f} of its speed."
    )
    return [way, usual, f"The page has {size:,} bytes."]
