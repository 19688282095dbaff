"""The diagnosis of a signature that does not verify: what was signed instead?

The base that the server computes is varied in the ways in which clients go wrong. If the signature
verifies for a variant, the line that was signed differently is known, and shown.
"""

import base64
import difflib
import hashlib
import itertools
import re
from collections.abc import Iterator
from typing import Final

import attrs
from cryptography.hazmat.primitives import hashes

from upvest_rebalancing.sandbox.components import Lines
from upvest_rebalancing.sandbox.keys import VerifyingKey
from upvest_rebalancing.sandbox.layouts import (
    Layout,
    common_layouts,
    layouts,
    right_base,
)
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.variants import value_variants

_SHOWN_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-language",
        "content-digest",
        "content-length",
        "content-type",
        "date",
        "idempotency-key",
        "upvest-api-version",
        "upvest-client-id",
    }
)
_NAME: Final = re.compile(r'"?(@?[A-Za-z0-9-]+)"?:')
_LIKELY_PER_LINE: Final = 2
_MOST_SHOWN: Final = 6
_MOST_TRIES: Final = 800
_MOST_QUICK_TRIES: Final = 60
_MOST_LAYOUTS: Final = 150
_MOST_OTHER_KEYS: Final = 50
_LONGEST_VARIED: Final = 32 * 2**10
_SHORTEST_SECRET: Final = 8
_HASHES: Final = (hashes.SHA256(), hashes.SHA384(), hashes.SHA1())  # noqa: S303 - to name it


@attrs.frozen
class Evidence:
    """All that is known about a signature that does not verify.

    Attributes:
        message: The request.
        lines: The covered components with their values.
        parameters: The covered list with its parameters, as written.
        label: The signature's label.
        signature: The signature's bytes, in the right encoding for the key.
        key: The key that `keyid` names.
        other_keys: All other registered keys.
        thorough: Whether to try all that is known, two slips at once as well, which costs a few
            hundred tries; or the likeliest slips alone, a few dozen.
    """

    message: Message
    lines: Lines
    parameters: str
    label: str
    signature: bytes = attrs.field(repr=False)
    key: VerifyingKey
    other_keys: tuple[VerifyingKey, ...] = ()
    thorough: bool = True


def diagnose(evidence: Evidence) -> str:
    """Say what was signed instead of the right base, or show the right one.

    Args:
        evidence: All that is known.

    Returns:
        A description of some lines, in which no secret appears.
    """
    right = right_base(evidence.lines, evidence.parameters)
    text = (
        _another_key(evidence, right)
        or _another_digest(evidence, right)
        or _another_base(evidence, right)
        or _whole_base(right, thorough=evidence.thorough)
    )
    # Lines are redacted one by one; this catches a token in a base that has no lines.
    token = (evidence.message.header("authorization") or "").partition(" ")[2]
    return text.replace(token, "…") if len(token) >= _SHORTEST_SECRET else text


def _another_key(evidence: Evidence, right: str) -> str | None:
    base = right.encode("latin-1")
    for other in evidence.other_keys[:_MOST_OTHER_KEYS]:
        if other.shape_problem(evidence.signature) is None and other.verifies(
            evidence.signature, base
        ):
            return (
                f"keyid is {evidence.key.key_id!r}, but the signature was made with the key "
                f"registered as {other.key_id!r}"
            )
    return None


def _another_digest(evidence: Evidence, right: str) -> str | None:
    base = right.encode("latin-1")
    key, signature = evidence.key, evidence.signature
    if key.is_elliptic:
        for algorithm in _HASHES:
            if key.verifies(signature, base, algorithm):
                return (
                    f"the base is the right one, but it was hashed with {algorithm.name.upper()}: "
                    "use ECDSA with SHA-512"
                )
    digest = hashlib.sha512(base)
    others = (
        (digest.digest(), "the base's SHA-512 digest was signed as if it were the message"),
        (digest.hexdigest().encode(), "the base's hexadecimal SHA-512 digest was signed"),
        (hashlib.sha256(base).digest(), "the base's SHA-256 digest was signed"),
        (base64.b64encode(base), "the base was signed in base64"),
        (evidence.parameters.encode("latin-1"), "only the signature's parameters were signed"),
        (evidence.message.body, "only the body was signed"),
        (b"", "nothing was signed: the base was empty"),
    )
    for candidate, note in others:
        if key.verifies(signature, candidate):
            return f"{note}; sign the base itself"
    return None


def _another_base(evidence: Evidence, right: str) -> str | None:
    if len(right) > _LONGEST_VARIED:
        return None
    tried = {right}
    most = _MOST_TRIES if evidence.thorough else _MOST_QUICK_TRIES
    for candidate in _candidates(evidence):
        if candidate.text in tried:
            continue
        if len(tried) > most:
            break
        tried.add(candidate.text)
        if evidence.key.verifies(evidence.signature, candidate.text.encode("latin-1")):
            return f"{candidate.note}\n{_difference(right, candidate.text)}"
    return None


def _candidates(evidence: Evidence) -> Iterator[Layout]:
    lines, parameters = evidence.lines, evidence.parameters
    singles = [
        (index, value, note)
        for index, (name, right) in enumerate(lines)
        for value, note in value_variants(evidence.message, name, right)
    ]
    likely = [
        single
        for _, group in itertools.groupby(singles, key=lambda single: single[0])
        for single in itertools.islice(group, _LIKELY_PER_LINE)
    ]
    # The likeliest first, as there is an end to the tries.
    yield from common_layouts(lines, parameters, evidence.label)
    for index, value, note in likely:
        yield Layout(right_base(_with(lines, index, value), parameters), note)
    if not evidence.thorough:
        return
    whole = layouts(evidence.message, lines, parameters, evidence.label)
    yield from itertools.islice(whole, _MOST_LAYOUTS)
    for index, value, note in singles:
        yield Layout(right_base(_with(lines, index, value), parameters), note)
    for index, value, note in likely:
        changed = _with(lines, index, value)
        for layout in common_layouts(changed, parameters, evidence.label):
            yield Layout(layout.text, f"{layout.note}; and {note}")
    for first, second in itertools.combinations(likely, 2):
        if first[0] != second[0]:
            changed = _with(_with(lines, first[0], first[1]), second[0], second[1])
            yield Layout(right_base(changed, parameters), f"{first[2]}; and {second[2]}")


def _with(lines: Lines, index: int, value: str) -> Lines:
    return (*lines[:index], (lines[index][0], value), *lines[index + 1 :])


def _difference(right: str, signed: str) -> str:
    before, after = right.split("\n"), signed.split("\n")
    shown: list[str] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, low, high, other_low, other_high in matcher.get_opcodes():
        if kind == "equal":
            continue
        pairs = itertools.zip_longest(before[low:high], after[other_low:other_high])
        for expected, found in pairs:
            shown.append(f"expected: {_shown(expected)}")
            shown.append(f"signed:   {_shown(found)}")
    if len(shown) > _MOST_SHOWN:
        more = (len(shown) - _MOST_SHOWN) // 2
        shown = [*shown[:_MOST_SHOWN], f"and {more} more lines"]
    return "\n".join(shown)


def _whole_base(right: str, *, thorough: bool) -> str:
    lines = "\n".join(_shown(line) for line in right.split("\n"))
    slip = "known slip" if thorough else "likely slip (all are looked for once a second)"
    return (
        f"no {slip} explains it, so the key may be another one, or the request was changed after "
        "it was signed. The signature base that the server computes, to compare with yours line "
        f"by line:\n{lines}"
    )


def _shown(line: str | None) -> str:
    if line is None:
        return "(no such line)"
    if not line:
        return "(an empty line)"
    found = _NAME.match(line)
    if found is None:
        return "(a line without a name)" if "signature" not in line else "(the parameters alone)"
    name = found.group(1).lower()
    ending = "\\r" if line.endswith("\r") else ""
    if name == "authorization":
        return f"{found.group()} Bearer …{ending}"
    if not name.startswith("@") and name not in _SHOWN_HEADERS:
        return f"{found.group()} …{ending}"
    return line.replace("\r", "\\r")
