"""The tree of errors: complete, drawn, picklable, and silent about secrets."""

import pickle
from typing import Any, get_type_hints

import attrs
import pytest

from upvest_rebalancing import errors
from upvest_rebalancing.errors import Attempt, AttemptOutcome

CLASSES = sorted(
    (
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.RebalancingError)
    ),
    key=lambda cls: cls.__name__,
)


def attempt(outcome: AttemptOutcome, status: int | None = None) -> Attempt:
    return Attempt(number=1, started=0.0, duration=0.1, outcome=outcome, status=status)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_survives_pickling(cls: type[errors.RebalancingError]) -> None:
    values: dict[str, Any] = {
        "message": "m",
        "problems": ("p",),
        "attempts": (attempt(AttemptOutcome.UNKNOWN),),
    }
    values |= {"status": 418, "idempotency_key": "k", "retry_after": 1.5, "missing": ("s",)}
    names = {field.name for field in attrs.fields(cls)}  # type: ignore[arg-type]
    error = cls(**{name: value for name, value in values.items() if name in names})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    for name in names:
        assert getattr(again, name) == getattr(error, name)
    assert str(again) == "m"
    assert repr(again) == f"{cls.__name__}('m')"
    assert again.args == ("m",)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_is_drawn_and_documented(cls: type[errors.RebalancingError]) -> None:
    assert cls.__name__ in (errors.__doc__ or "")
    assert cls.__doc__
    own = set(get_type_hints(cls)) - set(get_type_hints(cls.__mro__[1]))
    for name in own:
        assert f"{name}:" in cls.__doc__, f"{cls.__name__}.{name} is not documented"


def test_documented_statuses_have_a_class_each() -> None:
    assert sorted(errors.STATUS_ERRORS) == [
        *(400, 401, 403, 404, 405, 406, 409, 422, 429),
        *(500, 502, 503, 504),
    ]
    assert len(set(errors.STATUS_ERRORS.values())) == len(errors.STATUS_ERRORS)
    for status, cls in errors.STATUS_ERRORS.items():
        assert issubclass(cls, errors.ServerError) == (status >= 500)
        assert (cls.__doc__ or "").startswith(f"{status}:")
        assert errors.error_class(status) is cls


def test_other_statuses_have_one_too() -> None:
    assert errors.error_class(418) is errors.APIError
    assert errors.error_class(599) is errors.ServerError


@pytest.mark.parametrize(
    ("made", "executed"),
    [
        (attempt(AttemptOutcome.NOT_SENT), False),
        (attempt(AttemptOutcome.UNKNOWN), True),
        (attempt(AttemptOutcome.ANSWERED, 200), True),
        (attempt(AttemptOutcome.ANSWERED, 307), False),
        (attempt(AttemptOutcome.ANSWERED, 409), False),
        (attempt(AttemptOutcome.ANSWERED, 429), False),
        (attempt(AttemptOutcome.ANSWERED, 500), True),
        (attempt(AttemptOutcome.ANSWERED, 504), True),
        (attempt(AttemptOutcome.ANSWERED), True),
    ],
)
def test_what_an_attempt_may_have_done(made: Attempt, *, executed: bool) -> None:
    assert made.may_have_been_executed is executed
    never = attempt(AttemptOutcome.NOT_SENT)
    error = errors.NotFoundError("m", attempts=(never, made, never))
    assert error.may_have_been_executed is executed


def test_errors_are_told_apart_by_identity() -> None:
    first, second = errors.NotSentError("m"), errors.NotSentError("m")
    assert first != second
    assert len({first, second}) == 2


def test_an_invalid_request_is_a_value_error() -> None:
    assert issubclass(errors.InvalidRequestError, ValueError)
