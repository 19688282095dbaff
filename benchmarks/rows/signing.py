"""Building and signing one GET, against the bare signature of the same bytes.

It is computing and nothing else, so it is judged by processor time, which other processes that
want the core do not lengthen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from benchmarks import pages
from benchmarks.fixtures import CLIENT_ID, EXECUTION, KEY_ID, Key
from benchmarks.measuring import Contender, Figure, compete, times
from benchmarks.peers import message_signatures, upvest
from benchmarks.results import TIMES, Check, Goal, Row, duration
from upvest_rebalancing.authentication import new_nonce
from upvest_rebalancing.protocol import endpoints
from upvest_rebalancing.protocol.signatures import Signer

URL: Final = f"https://sandbox.upvest.co{pages.EXECUTIONS}/{EXECUTION}"
OURS: Final = "ours"
BARE: Final = "the bare signature"
UNSIGNED: Final = "of it, all but the signature"
NONCE: Final = "of it, the nonce"

_GOALS: Final = {"P-521": Goal("at most", 1.06), "Ed25519": Goal("at most", 1.5)}
_COUNTS: Final = {"P-521": 40, "Ed25519": 200}
"""Signatures in one turn: some ten milliseconds of either kind, so that there are many turns."""


@attrs.define(eq=False)
class _Recorder:
    """A key that keeps what it is asked to sign."""

    algorithm: str = "none"
    data: bytes = b""

    def sign(self, data: bytes) -> bytes:
        self.data = data
        return b""


def build_and_sign(signer: Signer) -> Callable[[], object]:
    """Make a function that builds and signs one GET as the client does it."""

    def sign() -> object:
        request = endpoints.execution(client_id=CLIENT_ID, execution_id=EXECUTION)
        headers = {**request.headers, "authorization": f"Bearer {pages.TOKEN}"}
        return signer.sign(
            method=request.method,
            target=request.target,
            headers=headers,
            nonce=new_nonce(),
            created=int(time.time()),
        )

    return sign


def signed_bytes() -> bytes:
    """Give the bytes that are signed for such a GET."""
    recorder = _Recorder()
    build_and_sign(Signer(key=recorder, keyid=KEY_ID))()
    return recorder.data


def measure(seconds: float) -> Sequence[Row]:
    """Measure both kinds of keys."""
    return [_row(key, seconds / 2) for key in (Key.p521(), Key.ed25519())]


def _row(key: Key, seconds: float) -> Row:
    base = signed_bytes()
    count = _COUNTS[key.name]
    unsigned = build_and_sign(Signer(key=_Recorder(), keyid=KEY_ID))
    actions: dict[str, Callable[[], object]] = {
        BARE: lambda: key.sign(base),
        OURS: build_and_sign(key.signer()),
        UNSIGNED: unsigned,
        NONCE: new_nonce,
        "http-message-signatures": message_signatures.signing(key, URL),
    }
    if key.name == "P-521":
        actions["Upvest's own package"] = _upvest(key)
    contenders = [
        Contender(name, times(count, action), "signature") for name, action in actions.items()
    ]
    figures = asyncio.run(compete(contenders, seconds=seconds, least=20))
    ours, bare = figures[OURS], figures[BARE]
    check = Check(
        measured=duration(ours.cpu),
        against=f"{duration(bare.cpu)} to sign {len(base)} bytes",
        value=ours.cpu / bare.cpu,
        goal=_GOALS[key.name],
    )
    return Row(
        name=f"building and signing one GET, {key.name}",
        checks=[check],
        figures=list(figures.values()),
        notes=[_note(figures)],
    )


def _upvest(key: Key) -> Callable[[], object]:
    signer = upvest.signer(key)
    token = f"Bearer {pages.TOKEN}"

    def sign() -> object:
        headers = {"accept": "application/json", "authorization": token}
        return signer.sign_request(method="GET", url=URL, headers_in=headers)

    return sign


def _note(figures: dict[str, Figure]) -> str:
    ours, bare, nonce = figures[OURS].cpu, figures[BARE].cpu, figures[NONCE].cpu
    return (
        f"Ours takes {duration(ours - bare)} more than the bare signature. Building the request, "
        "its nonce and the signature base, again and again without a signature in between, takes "
        f"{duration(figures[UNSIGNED].cpu)}. A nonce and a signature, with nothing else, take "
        f"{1 + nonce / bare:.3f} {TIMES} the limit."
    )
