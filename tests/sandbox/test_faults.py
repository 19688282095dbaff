"""Faults as values, their notation, and which request they strike."""

import random
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upvest_rebalancing.sandbox import Fault, FaultKind, Sandbox, SandboxConfig
from upvest_rebalancing.sandbox.kinds import KINDS, Moment
from upvest_rebalancing.sandbox.plan import FaultPlan, is_struck

ROUTES = ("token", "trigger", "execution", "orders", "verify_keys")
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","))


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    kind = draw(st.sampled_from(FaultKind))
    spec = KINDS[kind]
    arguments: dict[str, Any] = {
        "route": draw(st.none() | st.sampled_from(spec.routes)),
        "count": draw(st.none() | st.integers(0, 10**6)),
        "probability": draw(st.floats(0, 1)),
        "after": draw(st.integers(0, 99)),
        "every": draw(st.integers(1, 99)),
    }
    for name in spec.parameters:
        if name == "value":
            arguments[name] = draw(st.integers(*spec.values))
        elif name == "seconds":
            arguments[name] = draw(st.floats(0, 86_400))
        elif name == "replaces":
            arguments[name] = draw(st.sampled_from(["NEW", "PROCESSING", "FILLED", "CANCELLED"]))
        else:
            arguments[name] = draw(WORDS.filter(bool))
    chosen = draw(st.sets(st.sampled_from(sorted(arguments))))
    return Fault(kind, **{name: arguments[name] for name in chosen})


@given(faults())
@settings(deadline=None)
def test_a_fault_comes_back_from_its_notation_and_its_document(fault: Fault) -> None:
    # A count of None is the default, so that it is never written.
    assert Fault.parse(str(fault)) == fault
    assert Fault.from_document(fault.document()) == fault


@given(st.text() | st.text("abcdert-:=,0123. "))
@settings(deadline=None)
def test_any_text_is_a_fault_or_is_refused(text: str) -> None:
    for start in ("", "reset:", "error:", "reset:count="):
        try:
            fault = Fault.parse(start + text)
        except ValueError:
            continue
        assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_is_explained_in_one_line(kind: FaultKind) -> None:
    assert kind.explanation
    assert "\n" not in kind.explanation
    assert len(kind.explanation) < 150
    assert str(Fault(kind)) == kind.value
    for name in KINDS[kind].parameters:
        if name not in {"reason", "seconds", "retry_after"}:
            assert name.upper() in kind.explanation.upper()
    assert Fault(kind.value) == Fault(kind)


def test_a_kind_has_its_own_defaults() -> None:
    assert Fault("error").value == 503
    assert Fault("error").retry_after is None
    assert Fault("slow").seconds == 1.0
    assert Fault("slow", seconds=3).seconds == 3
    assert Fault("redirect").location == "/redirected"
    assert Fault("unknown-enum").status == "SETTLED"
    assert Fault("reset").value == 0


def test_a_fault_is_frozen_and_has_slots() -> None:
    fault = Fault("reset")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fault.count = 3  # type: ignore[misc]
    assert not hasattr(fault, "__dict__")
    assert len({fault, Fault("reset"), Fault("reset", count=1)}) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "kind '': must be one of error, "),
        ("resett", "was 'reset' meant"),
        ("reset:", "'' in 'reset:': must be NAME=VALUE"),
        ("reset:count", "'count' in 'reset:count': must be NAME=VALUE"),
        ("reset:=3", "'=3' in 'reset:=3'"),
        ("reset:count=1,count=2", "count in 'reset:count=1,count=2': must be given only once"),
        ("reset:kind=hang", "reset: 'kind'"),
        ("reset:count=x", "count='x': must be a whole number"),
        ("reset:count=-1", r"count=-1: must be a whole number of at least 0 \(requests\) or None"),
        ("reset:every=0", "every=0: must be a whole number of at least 1"),
        ("reset:probability=x", "probability='x': must be a number"),
        ("reset:probability=1.5", r"probability=1.5: must be a number from 0 to 1 \(a chance\)"),
        ("reset:probability=nan", "probability=nan"),
        ("reset:value=3", "reset: 'value': must be one of route, count, probability, after, every"),
        ("reset:cuont=3", "was 'count' meant"),
        ("reset:route=order", "route='order': must be 'token' or 'trigger'"),
        ("page-cap:route=trigger", "route='trigger': must be 'orders' for page-cap"),
        ("error:value=200", r"value=200: must be a whole number from 400 to 599 \(see error\)"),
        ("error:retry_after=", "retry_after='': must be a text of printable ASCII"),
        ("error:retry_after=ä", "retry_after='ä': must be a text"),
        ("slow:seconds=-1", "seconds=-1.0: must be a number from 0 to 86400"),
        ("unknown-enum:replaces=DONE", "replaces='DONE': must be 'NEW' or 'PROCESSING'"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_is_right(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fault.parse(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"value": 1}, "reset: 'value'"),
        ({"seconds": 1}, "reset: 'seconds'"),
        ({"retry_after": "1"}, "reset: 'retry_after'"),
        ({"count": True}, "count=True"),
        ({"count": 1.0}, "count=1.0"),
        ({"probability": "1"}, "probability='1'"),
        ({"route": "unknown"}, "route='unknown'"),
        ({"location": "/\r\nset-cookie: x"}, "reset: 'location'"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fault("reset", **arguments)
    with pytest.raises(ValueError, match=words):
        Fault.from_document({"kind": "reset", **arguments})


def test_no_line_break_gets_into_a_header() -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        Fault("redirect", location="/\r\nset-cookie: x")


@given(
    after=st.integers(0, 9),
    every=st.integers(1, 5),
    count=st.none() | st.integers(0, 9),
    requests=st.integers(0, 40),
)
@settings(deadline=None)
def test_a_plan_is_arithmetic(after: int, every: int, count: int | None, requests: int) -> None:
    fault = Fault("reset", after=after, every=every, count=count)
    plan = FaultPlan(0)
    injected = plan.inject(fault)
    struck = [
        number
        for number in range(1, requests + 1)
        if plan.first_strike(Moment.INSTEAD, "trigger") is not None
    ]
    assert struck == [*range(after + every, requests + 1, every)][:count]
    assert (injected.seen, injected.struck) == (requests, len(struck))


@given(st.floats(0, 1), st.integers(0, 99))
@settings(deadline=None)
def test_chance_is_drawn_for_due_requests_alone(probability: float, seed: int) -> None:
    fault = Fault("reset", probability=probability, after=3)
    chance, twin = random.Random(seed), random.Random(seed)
    for seen in range(3):
        assert not is_struck(fault, seen=seen, struck=0, chance=chance)
    assert chance.getstate() == twin.getstate()
    expected = probability == 1 or twin.random() < probability
    assert is_struck(fault, seen=3, struck=0, chance=chance) is expected
    assert chance.getstate() == twin.getstate()


@given(st.floats(0, 1), st.integers(-9, 9), st.integers(0, 3))
@settings(deadline=None)
def test_a_fault_draws_the_same_whatever_else_is_injected(
    probability: float, seed: int, others: int
) -> None:
    def draws(others: int) -> list[bool]:
        plan = FaultPlan(seed)
        fault = Fault("reset", probability=probability, route="token")
        plan.inject(fault)
        for _ in range(others):
            plan.inject(Fault("hang", probability=0.5, route="trigger"))
        found = []
        for _ in range(20):
            plan.first_strike(Moment.INSTEAD, "trigger")
            found.append(plan.first_strike(Moment.INSTEAD, "token") is not None)
        return found

    assert draws(0) == draws(others)


def test_the_first_that_strikes_is_the_only_one_that_counts() -> None:
    plan = FaultPlan(0)
    first = plan.inject(Fault("reset", count=1))
    second = plan.inject(Fault("hang", count=1))
    kinds = [plan.first_strike(Moment.INSTEAD, "token") for _ in range(3)]
    assert [strike and strike.fault.kind.value for strike in kinds] == ["reset", "hang", None]
    assert (first.seen, second.seen) == (3, 2)
    assert repr(second) == "<fault 2: hang:count=1, struck 1 of 2>"
    assert plan.clear() == 2
    assert plan.inject(Fault("reset")).id == 3


def test_strikes_are_numbered_for_each_thing() -> None:
    plan = FaultPlan(0)
    plan.inject(Fault("page-cap"))
    numbers = [
        strike.nth
        for key in ("a", "b", "a", "a", "b")
        for strike in plan.all_strikes(Moment.LISTING, "orders", key)
    ]
    assert numbers == [1, 1, 2, 3, 2]
    assert plan.all_strikes(Moment.CONTENT, "orders", "a") == []


def test_faults_are_settings() -> None:
    fault = Fault("reset")
    assert SandboxConfig(faults=[fault]).faults == (fault,)
    sandbox = Sandbox(faults=iter([fault, Fault("hang")]), clock_skew=3)
    assert [each.fault.kind.value for each in sandbox.faults] == ["reset", "hang"]
    assert [each.id for each in sandbox.faults] == [1, 2]
    assert sandbox.config.clock_skew == 3
    with pytest.raises(ValueError, match="must be a sequence of faults"):
        SandboxConfig(faults=["reset"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="clock_skew=inf: must be a number from"):
        SandboxConfig(clock_skew=float("inf"))


@pytest.mark.parametrize("skew", ["1", None, True, 10**12])
def test_a_skew_is_a_number(skew: Any) -> None:
    with pytest.raises(ValueError, match="clock_skew="):
        Sandbox(clock_skew=skew)
