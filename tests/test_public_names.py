"""What stands on the front page is there, is sorted, and is all that a user needs."""

import logging
from types import ModuleType

import upvest_rebalancing
from upvest_rebalancing import errors, models


def public(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def test_all_is_sorted_and_true() -> None:
    names = upvest_rebalancing.__all__
    ranked = sorted(names, key=lambda n: (not n.isupper(), n.startswith("_") or n.islower(), n))
    assert names == ranked
    for name in names:
        assert hasattr(upvest_rebalancing, name)


def test_every_error_and_model_stands_on_the_front_page() -> None:
    expected = (public(errors) | public(models)) - {"OpenEnum"}
    assert expected <= set(upvest_rebalancing.__all__)


def test_the_library_is_quiet() -> None:
    handlers = logging.getLogger("upvest_rebalancing").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
