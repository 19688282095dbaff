import ast
import subprocess
import sys
from pathlib import Path

import pytest

import upvest_rebalancing.sandbox

FOLDER = Path(upvest_rebalancing.sandbox.__file__).parent
MODULES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_of_the_client_is_imported(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            assert not name.startswith("upvest_") or name.startswith("upvest_rebalancing.sandbox.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_has_less_than_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 300


def test_it_can_be_imported_alone_without_a_warning() -> None:
    names = [f"upvest_rebalancing.sandbox.{path.stem}" for path in MODULES]
    imports = "\n".join(f"import {name}" for name in names if "__" not in name)
    subprocess.run([sys.executable, "-W", "error", "-c", imports], check=True)


def test_the_public_names() -> None:
    assert upvest_rebalancing.sandbox.__all__ == [
        "Counters",
        "Credentials",
        "Fault",
        "FaultKind",
        "InjectedFault",
        "Sandbox",
        "SandboxConfig",
    ]
