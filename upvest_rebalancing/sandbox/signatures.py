"""The verification of message signatures (RFC 9421 in its draft 15, as Upvest takes them).

It takes any signature that follows the documentation: components and parameters in any order, any
form of nonce, with `alg` or without. What it refuses, it explains.
"""

import time
from collections.abc import Callable
from typing import Final

import attrs

from upvest_rebalancing.sandbox.components import Lines, signature_base
from upvest_rebalancing.sandbox.diagnosis import Evidence, diagnose
from upvest_rebalancing.sandbox.digests import digest_problem
from upvest_rebalancing.sandbox.fields import Bare, Member
from upvest_rebalancing.sandbox.keys import VerifyingKey
from upvest_rebalancing.sandbox.messages import Message
from upvest_rebalancing.sandbox.nonces import NonceMemory
from upvest_rebalancing.sandbox.signature_input import (
    SignatureParameters,
    SignatureRefusedError,
    check_coverage,
    checked_parameters,
    covered_lines,
    signature_field,
)

_VERSION: Final = "15"
_THOROUGH_EVERY_SECONDS: Final = 1.0
_REPLAY_SECONDS: Final = 600.0
_MOST_SIGNATURES: Final = 8


@attrs.frozen
class SignaturePolicy:
    """What a signature's times may be.

    Attributes:
        max_lifetime: The most seconds from `created` to `expires`.
        clock_tolerance: How far `created` may lie ahead, in seconds.
    """

    max_lifetime: int
    clock_tolerance: float


class Verifier:
    """Verify the signatures of requests.

    Args:
        policy: What a signature's times may be.
        monotonic: What the effort of diagnoses is measured by, in seconds.
    """

    def __init__(
        self, policy: SignaturePolicy, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._keys: dict[str, VerifyingKey] = {}
        self._nonces = NonceMemory()
        self._replays = NonceMemory()
        self._monotonic = monotonic
        self._thorough_at: dict[str, float] = {}

    def register(self, key: VerifyingKey) -> None:
        """Register a client's key, or replace the one of its key id.

        Args:
            key: The key.
        """
        self._keys[key.key_id] = key

    def verify(
        self,
        message: Message,
        *,
        token_request: bool,
        now: float,
        true_now: float | None = None,
    ) -> None:
        """Verify a request's signature; of several, one good one suffices.

        Args:
            message: The request.
            token_request: Whether it asks for a token, and so needs no `authorization`.
            now: What the clock shows, in Unix seconds.
            true_now: The true time in Unix seconds, which nonces are remembered by; None for the
                same.

        Raises:
            SignatureRefusedError: No signature is good; the message says why.
        """
        _check_version(message.header("upvest-signature-version"))
        inputs = signature_field(message, "signature-input")
        signatures = signature_field(message, "signature")
        labels = [label for label in inputs if label in signatures]
        if not labels:
            text = (
                f"no label is in both signature-input ({', '.join(inputs)}) "
                f"and signature ({', '.join(signatures)})"
            )
            raise SignatureRefusedError(text)
        if len(labels) > _MOST_SIGNATURES:
            text = f"there are {len(labels)} signatures; at most {_MOST_SIGNATURES} are looked at"
            raise SignatureRefusedError(text)
        refusals: list[str] = []
        for label in labels:
            try:
                self._verify_one(
                    message,
                    label,
                    inputs[label],
                    signatures[label],
                    token_request=token_request,
                    now=now,
                    true_now=now if true_now is None else true_now,
                )
            except SignatureRefusedError as refusal:
                refusals.append(f"{label}: {refusal}" if len(labels) > 1 else str(refusal))
            else:
                return
        raise SignatureRefusedError("\n".join(refusals))

    def _verify_one(
        self,
        message: Message,
        label: str,
        covered: Member,
        signature: Member,
        *,
        token_request: bool,
        now: float,
        true_now: float,
    ) -> None:
        lines = covered_lines(message, covered)
        check_coverage(message, lines, token_request=token_request)
        parameters = checked_parameters(covered.parameters)
        key = self._key(parameters.key_id)
        _check_client(message, key)
        _check_algorithm(covered.parameters.get("alg"), key)
        self._check_times(parameters, now)
        _check_body(message, lines)
        value = signature.value
        if not isinstance(value, bytes):
            text = "the signature must be base64 between colons, as in sig1=:bWU=:"
            raise SignatureRefusedError(text)
        if problem := key.shape_problem(value):
            raise SignatureRefusedError(problem)
        if not key.verifies(value, signature_base(lines, covered.raw)):
            evidence = Evidence(
                message=message,
                lines=lines,
                parameters=covered.raw,
                label=label,
                signature=value,
                key=key,
                other_keys=tuple(other for other in self._keys.values() if other is not key),
                thorough=self._may_be_thorough(key.key_id),
            )
            raise SignatureRefusedError(diagnose(evidence))
        if not self._is_fresh(key.key_id, parameters, now, true_now):
            text = (
                f"the nonce {parameters.nonce!r} was used before: a nonce is used once, "
                "and every attempt, a retry as well, is signed afresh"
            )
            raise SignatureRefusedError(text)

    def _is_fresh(
        self, key_id: str, parameters: SignatureParameters, now: float, true_now: float
    ) -> bool:
        nonce, left = parameters.nonce, parameters.expires - now
        # The very same signature is remembered for longer than it is good: should the clock that
        # shows `now` jump back, it would be good again.
        whole = f"{parameters.created} {parameters.expires} {nonce}"
        kept_until = true_now + max(left, _REPLAY_SECONDS)
        fresh = self._nonces.use(key_id, nonce, expires=true_now + left, now=true_now)
        return self._replays.use(key_id, whole, expires=kept_until, now=true_now) and fresh

    def _may_be_thorough(self, key_id: str) -> bool:
        # A client that sends a hundred wrong signatures at once would otherwise hold up all others
        # until theirs expire.
        now = self._monotonic()
        if now - self._thorough_at.get(key_id, float("-inf")) < _THOROUGH_EVERY_SECONDS:
            return False
        self._thorough_at[key_id] = now
        return True

    def _key(self, key_id: str) -> VerifyingKey:
        key = self._keys.get(key_id)
        if key is None:
            known = ", ".join(sorted(self._keys))
            text = f"keyid {key_id!r} is not registered here; these are: {known}"
            raise SignatureRefusedError(text)
        return key

    def _check_times(self, parameters: SignatureParameters, now: float) -> None:
        created, expires = parameters.created, parameters.expires
        if expires <= created:
            text = f"expires={expires} must be later than created={created}"
        elif expires - created > self._policy.max_lifetime:
            text = (
                f"the signature is good for {expires - created} s (from created={created} to "
                f"expires={expires}), but at most {self._policy.max_lifetime} s are allowed"
            )
        elif created > now + self._policy.clock_tolerance:
            text = (
                f"the signature is not yet valid: created={created} lies {created - now:.3f} s "
                f"ahead of the server's clock ({now:.3f})"
            )
        elif now > expires:
            text = (
                f"the signature expired {now - expires:.3f} s ago: expires={expires}, "
                f"the server's clock says {now:.3f}"
            )
        else:
            return
        raise SignatureRefusedError(text)


def _check_version(version: str | None) -> None:
    if version is None:
        text = f"the header upvest-signature-version is missing; it has to be {_VERSION}"
        raise SignatureRefusedError(text)
    if version != _VERSION:
        text = f"upvest-signature-version is {version!r}; it has to be {_VERSION}"
        raise SignatureRefusedError(text)


def _check_client(message: Message, key: VerifyingKey) -> None:
    client_id = (message.header("upvest-client-id") or "").lower()
    if key.client_id is not None and key.client_id != client_id:
        text = (
            f"keyid {key.key_id!r} is the key of the client {key.client_id}, "
            f"but upvest-client-id is {client_id}"
        )
        raise SignatureRefusedError(text)


def _check_algorithm(alg: Bare | None, key: VerifyingKey) -> None:
    if alg is not None and alg != key.algorithm:
        text = (
            f"alg is {alg!r}, but keyid {key.key_id!r} is a key for "
            f"{key.algorithm!r}; alg may be left out"
        )
        raise SignatureRefusedError(text)


def _check_body(message: Message, lines: Lines) -> None:
    values = dict(lines)
    length = values.get("content-length")
    if length is not None and length != str(len(message.body)):
        text = f"content-length is {length!r}, but the body has {len(message.body)} bytes"
        raise SignatureRefusedError(text)
    # Covered or not: one that is sent has to be right.
    digest = message.header("content-digest")
    if digest is not None and (problem := digest_problem(digest, message.body)):
        raise SignatureRefusedError(problem)
