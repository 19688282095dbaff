"""What must never be said: secrets, taken out of every text that is sent."""

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from upvest_rebalancing.sandbox.messages import Message

# A shorter one may be a common word; to take it out would only show where it stood.
_SHORTEST: Final = 8
_FRAGMENT: Final = 12
_INSTEAD: Final = "…"


def scrubbed(text: str, message: Message, known: Iterable[str]) -> str:
    """Return a text without secrets.

    Args:
        text: What is to be sent.
        message: The request; its token and its signatures are secrets, and so are parts of them.
        known: All secrets that the sandbox knows.
    """
    own = [value for value in _own(message) if len(value) >= _SHORTEST]
    for secret in [*own, *known]:
        if len(secret) < _SHORTEST:
            continue
        for written in {secret, repr(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)}:
            text = text.replace(written, _INSTEAD)
    for secret in own:
        text = _without_fragments(text, secret)
    return text


def _own(message: Message) -> Iterator[str]:
    authorization = message.header("authorization") or ""
    yield authorization.partition(" ")[2].strip()
    for member in (message.header("signature") or "").split(","):
        yield member.partition("=")[2].strip().strip(":")


def _without_fragments(text: str, secret: str) -> str:
    at, kept = 0, []
    while at < len(text):
        length = 0
        if text[at : at + _FRAGMENT] in secret and len(text) - at >= _FRAGMENT:
            length = _FRAGMENT
            while at + length < len(text) and text[at : at + length + 1] in secret:
                length += 1
        kept.append(_INSTEAD if length else text[at])
        at += length or 1
    return "".join(kept)
