"""Every example in the README runs as it stands."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from upvest_rebalancing.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "sh"]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory like the repository's, with a sandbox's .env in it."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    scopes = ("portfolios:admin", "portfolios:read", "webhooks:read")
    async with Sandbox(order_seconds=0, scopes=scopes) as sandbox:
        sandbox.write_env_file(tmp_path / ".env")
        shutil.copy(tmp_path / ".env", tmp_path / "sandbox.env")
        yield tmp_path


async def run(place: Path, *command: str) -> str:
    environ = {n: v for n, v in os.environ.items() if not n.startswith("UPVEST_API_")}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=place, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 300)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, out.decode()
    return out.decode()


def commands(block: str) -> list[list[str]]:
    """Take a block apart into its commands of ours, as run from this environment."""
    found = []
    for part in re.split(r"&&|\n(?! )", block):
        words = part.replace("'", "").split()
        if words and words[0].endswith("upvest-rebalancing"):
            found.append([sys.executable, "-W", "error", "-m", "upvest_rebalancing", *words[1:]])
    return found


def test_the_first_two_shell_blocks_are_the_job_and_the_tests() -> None:
    for block in SHELL[:2]:
        assert block.startswith("python3 -m venv .venv &&\n  .venv/bin/python -m pip install")
    assert "run docs/accounts.csv --sandbox" in SHELL[0]
    assert "-m pytest" in SHELL[1]
    assert re.search(r"n == 2", (ROOT / ".ci" / "run").read_text("utf-8"))


def test_there_are_examples() -> None:
    assert len(PYTHON) >= 6
    assert {language for language, _ in BLOCKS} == {"sh", "python"}


@pytest.mark.parametrize("block", PYTHON, ids=[str(n) for n in range(len(PYTHON))])
async def test_python(place: Path, block: str) -> None:
    (place / "example.py").write_text(block, "utf-8")
    out = await run(place, sys.executable, "-W", "error", "example.py")
    assert ("print(" in block) == bool(out)


async def test_the_main_job(place: Path) -> None:
    ((command),) = commands(SHELL[0])
    out = await run(place, *command)
    assert re.search(r"final +5,000 of 5,000 accounts", out)
    rows = (place / "results.csv").read_text("utf-8").splitlines()
    assert len(rows) == 5001
    assert {row.split(",")[1] for row in rows[1:]} == {"FILLED", "CANCELLED"}


async def test_the_other_commands(place: Path) -> None:
    blocks = [block for block in SHELL[2:] if " sandbox " not in block]
    assert blocks
    for block in blocks:
        for command in commands(block):
            await run(place, *command)
    assert len((place / "results.jsonl").read_text("utf-8").splitlines()) >= 5000


async def test_the_sandbox_command(place: Path) -> None:
    (block,) = (block for block in SHELL[2:] if " sandbox " in block)
    ((command),) = commands(block)
    # Another port: tests run side by side.
    command[command.index("--port") + 1] = "0"
    (place / "sandbox.env").unlink()
    process = await asyncio.create_subprocess_exec(*command, cwd=place, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert b"http://127.0.0.1:" in line
        while not (place / "sandbox.env").exists():
            await asyncio.wait_for(process.stdout.readline(), 60)
        base = [sys.executable, "-m", "upvest_rebalancing"]
        assert "portfolios:admin" in await run(place, *base, "check", "--env-file", "sandbox.env")
    finally:
        process.terminate()
        # Read to the end, or the pipe outlives the loop.
        await process.communicate()
    assert process.returncode == 0
