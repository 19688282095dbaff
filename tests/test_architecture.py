"""The floors hold: imports go down only, and the pure core stays pure."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import upvest_rebalancing

PACKAGE = Path(upvest_rebalancing.__file__).parent
FLOORS = (
    ("_version", "errors", "documents", "models", "events", "identity", "statistics"),
    ("protocol.redaction",),
    (
        "protocol.messages",
        "protocol.keys",
        "protocol.retries",
        "protocol.pagination",
        "protocol.seen",
        "protocol.progress",
        "protocol.readings",
        "protocol.lookout",
        "protocol.pacing",
        "protocol.clock",
        "protocol.bodies",
        "protocol.structuring",
    ),
    ("protocol.signatures", "protocol.codec"),
    ("protocol.endpoints", "protocol.tokens"),
    ("settings", "signing", "deadlines", "last_step", "transport", "authentication", "throttle"),
    ("attempts", "options"),
    ("failures",),
    ("sender",),
    ("connection",),
    ("walking",),
    ("waiting",),
    ("client",),
    ("sandbox", "bulk"),
    ("cli", "__main__", ""),
)
IMPURE = {
    *("aiohttp", "asyncio", "datetime.datetime.now", "http", "os", "pathlib", "random"),
    *("secrets", "select", "socket", "ssl", "subprocess", "threading", "time", "urllib.request"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(module: str) -> int:
    best = -1
    for number, modules in enumerate(FLOORS):
        for name in modules:
            if module == name or (name and module.startswith(name + ".")):
                best = number
    assert best >= 0, f"{module} stands on no floor; give it one in FLOORS"
    return best


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            found.add(str(node.module))
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down(path: Path) -> None:
    module = module_name(path)
    for name in imports(path):
        if not name.startswith("upvest_rebalancing"):
            continue
        target = name.removeprefix("upvest_rebalancing").removeprefix(".")
        if (
            not (PACKAGE / Path(*target.split("."))).exists()
            and not (PACKAGE / Path(*target.split("."))).with_suffix(".py").exists()
        ):
            continue  # A name in a module, whose module is in the set as well.
        if target in {"", "protocol"}:
            assert module == "" or name != "upvest_rebalancing", f"{module} imports the root"
            continue
        assert floor(target) <= floor(module), f"{module} imports {target}, from a higher floor"


def test_the_sandbox_knows_nothing_of_the_client() -> None:
    for path in (PACKAGE / "sandbox").rglob("*.py"):
        for name in imports(path):
            if name.startswith("upvest_rebalancing"):
                assert name.startswith("upvest_rebalancing.sandbox"), f"{path.name}: {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "protocol").rglob("*.py")), ids=module_name)
def test_the_core_has_no_clock_no_chance_and_no_socket(path: Path) -> None:
    roots = {name for found in imports(path) for name in (found, found.partition(".")[0])}
    assert not roots & IMPURE, f"{path.name} imports {roots & IMPURE}"
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"open", "datetime.now", "datetime.utcnow", "date.today", "print"}


def test_every_module_can_be_imported_alone() -> None:
    # One process for all would hide a circular import behind an earlier module's success.
    names = [f"upvest_rebalancing.{module_name(path)}".rstrip(".") for path in MODULES]
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.startswith('upvest_rebalancing')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script, *names], check=True, timeout=300)
