"""The control endpoints: what tests steer a sandbox with that runs in another process."""

import json
from collections.abc import Callable, Mapping
from typing import Final, cast

import attrs

from upvest_rebalancing.sandbox.counters import Tally
from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.messages import Answer, Message, json_answer
from upvest_rebalancing.sandbox.plan import FaultPlan, InjectedFault
from upvest_rebalancing.sandbox.problems import ProblemError
from upvest_rebalancing.sandbox.skew import Skew
from upvest_rebalancing.sandbox.tokens import TokenOffice

CONTROL_PREFIX: Final = "/_sandbox/"


class Controls:
    """Answer the control endpoints, which no rate limit, signature or fault stands before.

    Args:
        tally: What is counted.
        tokens: What can be revoked.
        faults: What goes wrong.
        skew: How far the clock is off.
    """

    def __init__(self, tally: Tally, tokens: TokenOffice, faults: FaultPlan, skew: Skew) -> None:
        self._tally = tally
        self._tokens = tokens
        self._faults = faults
        self._skew = skew
        self._endpoints: Mapping[str, Mapping[str, Callable[[Message], Answer]]] = {
            "counters": {"GET": self._counters},
            "health": {"GET": lambda _: json_answer({"status": "ok"})},
            "reset": {"POST": self._reset},
            "tokens/revoke": {"POST": self._revoke},
            "faults": {"GET": self._list, "POST": self._inject, "DELETE": self._clear},
            "clock": {"POST": self._set_clock},
        }

    def answer(self, message: Message) -> Answer:
        """Do what a control endpoint is for.

        Args:
            message: The request.

        Raises:
            ProblemError: There is no such endpoint, or it does not take this: 400, 404 or 405.
        """
        methods = self._endpoints.get(message.path.removeprefix(CONTROL_PREFIX))
        if methods is None:
            raise ProblemError(404, f"there is nothing at {message.path}")
        run = methods.get(message.method)
        if run is None:
            raise wrong_method(message, *methods)
        return run(message)

    def _counters(self, _message: Message) -> Answer:
        return json_answer(attrs.asdict(self._tally.snapshot()))

    def _reset(self, _message: Message) -> Answer:
        self._tally.reset()
        return json_answer({"status": "ok"})

    def _revoke(self, _message: Message) -> Answer:
        return json_answer({"revoked": self._tokens.revoke_all()})

    def _list(self, _message: Message) -> Answer:
        return json_answer({"faults": [_document(each) for each in self._faults.injected]})

    def _inject(self, message: Message) -> Answer:
        try:
            fault = Fault.from_document(_members(message))
        except ValueError as error:
            raise ProblemError(400, str(error)) from error
        return json_answer(_document(self._faults.inject(fault)))

    def _clear(self, _message: Message) -> Answer:
        return json_answer({"removed": self._faults.clear()})

    def _set_clock(self, message: Message) -> Answer:
        members = _members(message)
        if set(members) != {"skew"}:
            raise ProblemError(400, 'the body must be {"skew": SECONDS}')
        try:
            self._skew.set(members["skew"])
        except ValueError as error:
            raise ProblemError(400, str(error)) from error
        return json_answer({"skew": self._skew.seconds})


def wrong_method(message: Message, *methods: str) -> ProblemError:
    """Return the refusal of a method.

    Args:
        message: The request.
        methods: The methods that its path takes.
    """
    names = ", ".join(methods)
    detail = f"{message.path} takes {names}, not {message.method}"
    return ProblemError(405, detail, headers={"allow": names})


def _members(message: Message) -> Mapping[str, object]:
    try:
        content: object = json.loads(message.body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ProblemError(400, "the body must be a JSON object")
    return cast("dict[str, object]", content)


def _document(injected: InjectedFault) -> dict[str, object]:
    return {
        "id": injected.id,
        **injected.fault.document(),
        "seen": injected.seen,
        "struck": injected.struck,
    }
