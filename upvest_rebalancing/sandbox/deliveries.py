"""How an answer is put on the wire, and what faults make of that."""

import enum
import functools
import gzip
import struct
import zlib
from email.utils import formatdate
from typing import Final

import attrs

from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.kinds import FaultKind
from upvest_rebalancing.sandbox.messages import Answer
from upvest_rebalancing.sandbox.problems import ProblemError, phrase_of

_BLOCK: Final = b" " * 2**20
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class Manner(enum.Enum):
    """How an answer is put on the wire."""

    WHOLE = enum.auto()
    SLOW = enum.auto()
    TRUNCATED = enum.auto()
    TRUNCATED_CHUNKS = enum.auto()
    RESET = enum.auto()
    DISCONNECT = enum.auto()
    HANG = enum.auto()


_MANNERS: Final = {
    FaultKind.SLOW: Manner.SLOW,
    FaultKind.TRUNCATED: Manner.TRUNCATED,
    FaultKind.TRUNCATED_CHUNKS: Manner.TRUNCATED_CHUNKS,
    FaultKind.RESET: Manner.RESET,
    FaultKind.RESET_AFTER_WORK: Manner.RESET,
    FaultKind.DISCONNECT: Manner.DISCONNECT,
    FaultKind.DISCONNECT_AFTER_WORK: Manner.DISCONNECT,
    FaultKind.HANG: Manner.HANG,
    FaultKind.HANG_AFTER_WORK: Manner.HANG,
}
_NOTHING: Final = Answer(status=500, body=b"")


@attrs.frozen
class Delivery:
    """An answer, and how it is put on the wire.

    Attributes:
        answer: The answer; a manner that sends nothing ignores it.
        manner: How it is sent.
        pieces: For `SLOW`: in how many pieces.
        seconds: For `SLOW`: how long they take.
        percent: For the truncated ones: how much of the body is sent.
        counted_as: What it is counted as, if not under the status that is sent.
    """

    answer: Answer
    manner: Manner = Manner.WHOLE
    pieces: int = 1
    seconds: float = 0.0
    percent: int = 100
    counted_as: str | None = None

    @property
    def body_sent(self) -> bytes:
        """What of the body is sent."""
        body = self.answer.body
        return body[: len(body) * self.percent // 100]


def delivery_of(fault: Fault, answer: Answer | None, now: float) -> Delivery:
    """Return what a fault makes of an answer.

    Args:
        fault: One that strikes in place of the work, or after it.
        answer: The good answer; None if the work was not done.
        now: What the sandbox's clock shows, in Unix seconds.

    Raises:
        ProblemError: The fault is an error that is answered as Upvest documents it.
    """
    if fault.kind in {FaultKind.ERROR, FaultKind.ERROR_AFTER_WORK}:
        raise _error(fault, now)
    manner = _MANNERS.get(fault.kind, Manner.WHOLE)
    if answer is None or manner is Manner.WHOLE:
        answer = _in_place(fault) if answer is None else _changed(fault, answer)
    if manner is Manner.SLOW:
        return Delivery(answer, manner, pieces=fault.value, seconds=fault.seconds)
    if manner is Manner.WHOLE:
        return Delivery(answer)
    cut = manner in {Manner.TRUNCATED, Manner.TRUNCATED_CHUNKS}
    percent = fault.value if cut else 0
    return Delivery(answer, manner, percent=percent, counted_as=fault.kind.value)


def _error(fault: Fault, now: float) -> ProblemError:
    headers = {}
    if fault.retry_after is not None:
        text = fault.retry_after
        if text == "date":
            text = formatdate(now + fault.seconds, usegmt=True)
        headers["retry-after"] = text
    done = " after the work was done" if fault.kind is FaultKind.ERROR_AFTER_WORK else ""
    return ProblemError(fault.value, f"a fault of the sandbox's{done}", headers=headers)


def _in_place(fault: Fault) -> Answer:
    if fault.kind is FaultKind.REDIRECT:
        return Answer(fault.value, b"", {"location": fault.location}, content_type="")
    if fault.kind is FaultKind.HTML_ERROR:
        title = f"{fault.value} {phrase_of(fault.value)}"
        page = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
            f"<center><h1>{title}</h1></center>\r\n<hr><center>proxy</center>\r\n"
            "</body>\r\n</html>\r\n"
        )
        return Answer(fault.value, page.encode(), content_type="text/html")
    if fault.kind is FaultKind.EMPTY_ERROR:
        return Answer(fault.value, b"", content_type="")
    return _NOTHING


def _changed(fault: Fault, answer: Answer) -> Answer:
    if fault.kind is FaultKind.WRONG_CONTENT_TYPE:
        return attrs.evolve(answer, content_type=fault.content_type)
    if fault.kind is FaultKind.CUT_JSON:
        return attrs.evolve(answer, body=answer.body[: len(answer.body) * fault.value // 100])
    if fault.kind is FaultKind.GZIP:
        body = gzip.compress(answer.body, mtime=0)
    else:
        body = _bomb(fault.value, answer.body)
    return attrs.evolve(answer, body=body, headers={**answer.headers, "content-encoding": "gzip"})


def _bomb(spaces: int, body: bytes) -> bytes:
    deflated, checksum = _packed_spaces(spaces)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = compressor.compress(body) + compressor.flush()
    checksum = zlib.crc32(body, checksum)
    size = (spaces + len(body)) % 2**32
    return b"".join([_GZIP_HEADER, deflated, end, struct.pack("<II", checksum, size)])


@functools.lru_cache(maxsize=4)
def _packed_spaces(count: int) -> tuple[bytes, int]:
    """Return spaces as an unfinished deflate stream, and their checksum."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush a block is compressed the same wherever it stands, so once will do.
    block = compressor.compress(_BLOCK) + compressor.flush(zlib.Z_FULL_FLUSH)
    blocks, rest = divmod(count, len(_BLOCK))
    end = compressor.compress(_BLOCK[:rest]) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(blocks):
        checksum = zlib.crc32(_BLOCK, checksum)
    return block * blocks + end, zlib.crc32(_BLOCK[:rest], checksum)
