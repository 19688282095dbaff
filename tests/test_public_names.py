"""What stands on the front page is there, is sorted, and is all that a user needs."""

import ast
import logging
import pickle
import pydoc
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import upvest_rebalancing
from upvest_rebalancing import errors, models

BASES = {"FromJSON", "OpenEnum"}
PATIENCE = 60.0


def public(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def imports_for_type_checkers() -> dict[str, tuple[str, ...]]:
    tree = ast.parse(Path(upvest_rebalancing.__file__).read_text("utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {
        str(node.module).removeprefix("upvest_rebalancing."): tuple(n.name for n in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }


def test_all_is_sorted_and_true() -> None:
    names = upvest_rebalancing.__all__
    ranked = sorted(names, key=lambda n: (not n.isupper(), n.startswith("_") or n.islower(), n))
    assert names == ranked
    for name in names:
        assert hasattr(upvest_rebalancing, name)


def test_users_type_checkers_and_the_interpreter_are_told_the_same() -> None:
    assert imports_for_type_checkers() == upvest_rebalancing._NAMES
    names = [name for found in upvest_rebalancing._NAMES.values() for name in found]
    assert sorted([*names, "__version__"]) == sorted(upvest_rebalancing.__all__)


def test_every_error_and_model_stands_on_the_front_page() -> None:
    expected = (public(errors) | public(models)) - BASES
    assert expected <= set(upvest_rebalancing.__all__)


@pytest.mark.parametrize("name", upvest_rebalancing.__all__)
def test_a_name_is_what_its_module_has(name: str) -> None:
    value = getattr(upvest_rebalancing, name)
    assert getattr(upvest_rebalancing, name) is value
    if isinstance(value, type):
        assert getattr(sys.modules[value.__module__], name) is value
        assert pickle.loads(pickle.dumps(value)) is value


def test_another_name_is_refused_by_the_interpreter_and_by_mypy() -> None:
    with pytest.raises(AttributeError, match="'upvest_rebalancing' has no attribute 'NotFound'"):
        upvest_rebalancing.NotFound  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="NotFound"):
        from upvest_rebalancing import NotFound  # type: ignore[attr-defined]  # noqa: F401, PLC0415


@pytest.mark.parametrize(
    "code",
    [
        "import upvest_rebalancing; upvest_rebalancing.errors.NotFoundError",
        "import upvest_rebalancing as u; assert u.Page is u.models.Page",
        "from upvest_rebalancing import *; RebalancingClient, load_private_key, __version__",
        "import upvest_rebalancing as u; assert set(u.__all__) <= set(dir(u)); dir(u.errors)",
        "import upvest_rebalancing, typing; typing.get_type_hints(upvest_rebalancing.Settings)",
    ],
)
def test_it_works_before_anything_else_is_imported(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=PATIENCE)


def test_help_explains_every_name() -> None:
    text = pydoc.plain(pydoc.render_doc(upvest_rebalancing))
    assert "asyncio.run(main())" in text
    for name in set(upvest_rebalancing.__all__) - {"__version__"}:
        assert name in text


def test_the_library_is_quiet() -> None:
    handlers = logging.getLogger("upvest_rebalancing").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
