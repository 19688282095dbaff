"""The command that serves a sandbox: its flags, its faults, and what it says of them."""

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from upvest_rebalancing.cli.app import app
from upvest_rebalancing.sandbox import FaultKind, Sandbox
from upvest_rebalancing.sandbox.kinds import KINDS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # A help text is folded to the terminal.
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Sandbox]:
    """Stop each sandbox as soon as it has written its file, and return those that were begun."""
    begun: list[Sandbox] = []
    original = Sandbox.write_env_file

    def write(self: Sandbox, path: str | Path) -> Path:
        begun.append(self)
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        return original(self, path)

    monkeypatch.setattr(Sandbox, "write_env_file", write)
    return begun


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["sandbox", *args], catch_exceptions=False)


def test_the_flags_reach_the_sandbox(folder: Path, served: list[Sandbox]) -> None:
    flags: dict[str, Any] = {
        "--moves-per-read": 3,
        "--allocation-accounts": 4,
        "--max-signature-lifetime": 50,
        "--clock-tolerance": 1.5,
        "--clock-skew": -2.5,
        "--scopes": "portfolios:read, webhooks:read",
    }
    faults = ("--fault", "reset-after-work:route=trigger,count=3", "--fault", "gzip")
    result = run(*(str(part) for pair in flags.items() for part in pair), *faults)
    assert result.exit_code == 0, result.output
    (sandbox,) = served
    config = sandbox.config
    assert config.moves_per_read == 3
    assert config.allocation_accounts == 4
    assert config.max_signature_lifetime == 50
    assert config.clock_tolerance == 1.5
    assert config.clock_skew == -2.5
    assert config.scopes == ("portfolios:read", "webhooks:read")
    assert [str(fault) for fault in config.faults] == [
        "reset-after-work:route=trigger,count=3",
        "gzip",
    ]


def test_the_defaults_are_those_of_the_sandbox(folder: Path, served: list[Sandbox]) -> None:
    assert run().exit_code == 0
    assert served[0].config == Sandbox().config


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--fault", "resett"], "--fault resett: kind 'resett': must be one of error, "),
        (["--fault", "reset:cuont=1"], "was 'count' meant"),
        (["--fault", "error:value=99"], "value=99: must be a whole number from 400 to 599"),
        (["--scopes", ""], "scopes=(): must be a tuple of scopes"),
        (["--clock-skew", "1e12"], "clock_skew=1000000000000.0"),
        (["--env-file", "${HOME}/made.env"], "must be without line breaks and without '${'"),
    ],
)
def test_what_is_wrong_is_named_and_ends_with_2(folder: Path, args: list[str], words: str) -> None:
    (folder / "${HOME}").mkdir()
    result = run(*args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert [path.name for path in folder.rglob("*")] == ["${HOME}"]


def test_the_help_explains_every_kind(folder: Path) -> None:
    result = run("--help")
    assert result.exit_code == 0
    shown = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", result.stdout))
    for kind in FaultKind:
        assert f"{kind.value}: {kind.explanation}" in shown


def test_the_list_has_every_kind_with_its_parameters(folder: Path) -> None:
    result = run("--list-faults")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2 * len(FaultKind)
    for kind, head, line in zip(FaultKind, lines[::2], lines[1::2], strict=True):
        name, _, parameters = head.partition(":")
        assert name == kind.value
        assert line == f"    {kind.explanation}"
        names = [part.partition("=")[0] for part in parameters.split(",") if part]
        assert names == list(KINDS[kind].parameters)
    assert list(folder.iterdir()) == []
