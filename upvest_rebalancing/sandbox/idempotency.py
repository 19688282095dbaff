"""Idempotency keys: the same key again after a success answers the first answer."""

import re
from typing import Final

import attrs

from upvest_rebalancing.sandbox.messages import Answer
from upvest_rebalancing.sandbox.problems import ProblemError

# The specification's pattern. Its fourth group also lets a leading 0 or 9 pass.
_PATTERN: Final = re.compile(
    r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-5][0-9a-fA-F]{3}-?[089abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
)
_DIGITS: Final = re.compile(r"[0-9a-fA-F]{32}")
_VERSION_DIGIT: Final = 12


def checked_key(header: str | None) -> str:
    """Return an idempotency key in the form in which keys are compared.

    Args:
        header: The `idempotency-key` header, if there is one.

    Raises:
        ProblemError: It is missing, or does not match the specification's pattern (400).
    """
    if header is None:
        detail = "the header idempotency-key is missing: a trigger needs a UUID as its key"
        raise ProblemError(400, detail, type="missing_idempotency_key")
    if not _PATTERN.fullmatch(header):
        raise ProblemError(400, f"idempotency-key {header!r} {_fault(header)}")
    return header.replace("-", "").lower()


def _fault(header: str) -> str:
    digits = header.replace("-", "")
    if not _DIGITS.fullmatch(digits):
        return "is no UUID"
    version = digits[_VERSION_DIGIT].lower()
    if version not in "012345":
        return (
            f"is a UUID of version {version}: the specification's pattern takes versions 0 to 5 "
            "only, so that e.g. a UUIDv7 is refused; send a version 4"
        )
    return "does not match the specification's pattern: see its hyphens and its fourth group"


@attrs.frozen
class _Done:
    content: object
    answer: Answer


class IdempotencyMemory:
    """Remember the answers to the triggers that succeeded, per client and key."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, str], _Done] = {}

    def recall(self, client_id: str, key: str, content: object) -> Answer | None:
        """Return the first answer to a key, or None if there has been no success yet.

        Args:
            client_id: The client; keys of different clients are different keys.
            key: The key, as `checked_key` returns it.
            content: What is asked for, comparable by value.

        Raises:
            ProblemError: The key was used to ask for something else (409).
        """
        done = self._done.get((client_id, key))
        if done is None:
            return None
        if done.content != content:
            detail = (
                "this idempotency-key was used for a trigger with another body: "
                "a retry must carry the same body, a new trigger a new key"
            )
            raise ProblemError(409, detail)
        return done.answer

    def remember(self, client_id: str, key: str, content: object, answer: Answer) -> None:
        """Note a success.

        Args:
            client_id: The client.
            key: The key, as `checked_key` returns it.
            content: What was asked for.
            answer: What was answered.
        """
        self._done[client_id, key] = _Done(content, answer)
