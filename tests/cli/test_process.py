"""The command line as a process: signals, pipes, terminals, missing packages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform != "win32":
    import pty

from tests.bulk.strategies import account
from tests.cli.support import (
    PATIENCE,
    Served,
    command,
    finish,
    invoke,
    start,
    until,
    write_accounts,
)
from upvest_rebalancing._version import __version__

ACCOUNTS = [account(number) for number in range(1, 6)]
Serve = Callable[..., Served]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_mid_run_leaves_a_report(
    serve: Serve, tmp_path: Path, number: int, status: int
) -> None:
    served = serve(order_seconds=10_000)
    path = write_accounts(tmp_path / "accounts.csv", ACCOUNTS)
    args = ("--batch-size", "2", "--concurrency", "2", "--json")
    process = start("run", path, *args, *served.options)
    until(lambda: served.answered("orders") >= 4 or process.poll() is not None)
    process.send_signal(number)
    ended = finish(process)
    assert ended.status == status, ended
    assert "Traceback" not in ended.err
    batches = ended.document["batches"]
    assert [batch["stage"] for batch in batches] == ["unfinished", "unfinished", "planned"]
    assert served.sandbox.counters().triggers == 2
    for batch in batches[:2]:
        shown = invoke("execution", batch["execution_id"], "--json", *served.options)
        assert len(shown.document["accounts"]) == batch["accounts"]


def test_standard_input_and_a_pipe_for_output(tmp_path: Path) -> None:
    done = subprocess.run(
        command("run", "-", "--sandbox", "--order-seconds", "0", "--json"),
        input="".join(f"{one}\n" for one in ACCOUNTS),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "FORCE_COLOR": "1"},
    )
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["final"] == 5
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[0] == "5 accounts in 1 batch, against an embedded sandbox"


def test_bad_input_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("1\n2\n")
    ended = finish(start("run", "accounts.csv", "--sandbox"))
    assert ended.status == 2
    assert "line 1" in ended.err
    assert "line 2" in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_shows_a_bar(serve: Serve, tmp_path: Path, *, no_color: bool) -> None:
    served = serve()
    path = write_accounts(tmp_path / "accounts.csv", ACCOUNTS)
    shown = at_terminal(
        "run", path, "--batch-size", "2", *served.options, NO_COLOR="1" if no_color else ""
    )
    assert "━" in shown
    assert "5/5" in shown
    assert "CANCELLED" in shown or "FILLED" in shown
    colours = re.findall(r"\x1b\[[0-9;]*3[0-9](?:;[0-9]+)*m", shown)
    assert bool(colours) != no_color


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_dumb_terminal_gets_no_bar(tmp_path: Path) -> None:
    path = write_accounts(tmp_path / "accounts.csv", ACCOUNTS)
    shown = at_terminal("run", path, "--sandbox", "--order-seconds", "0", TERM="dumb")
    assert "\x1b" not in shown
    assert "5 of 5 accounts are final" in shown


def at_terminal(*args: str, **environ: str) -> str:
    """Run a command with a pseudo-terminal for standard output and error; it must end with 0."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(*args),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "COLUMNS": "100", "LINES": "30", **environ},
    )
    os.close(slave)
    shown = bytearray()
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            # What Linux says when the last process has left the terminal.
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait(PATIENCE) == 0, shown.decode()
    return shown.decode()


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_its_extra_it_says_how_to_get_it(tmp_path: Path, name: str) -> None:
    code = (
        f"import sys; sys.modules[{name!r}] = None; "
        "from upvest_rebalancing.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert name in done.stderr
    assert "pip install 'upvest-rebalancing[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_missing_module_is_not_hidden() -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None; "
        "from upvest_rebalancing.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_the_version_is_shown() -> None:
    ended = invoke("--version")
    assert ended.status == 0
    assert ended.out == f"upvest-rebalancing {__version__}\n"


def test_without_arguments_it_shows_its_help() -> None:
    ended = invoke()
    assert ended.status in {0, 2}
    for name in ("run", "trigger", "execution", "orders", "check", "sandbox"):
        assert name in ended.out


@pytest.mark.parametrize("name", ["run", "trigger", "execution", "orders", "check", "sandbox"])
def test_every_command_explains_itself(name: str) -> None:
    ended = invoke(name, "--help")
    assert ended.status == 0
    assert "Exit status" in ended.out


def test_verbose_may_stand_before_the_command(serve: Serve) -> None:
    ended = invoke("-v", "check", "--json", *serve().options)
    assert ended.status == 0, ended
    assert ended.document["ok"] is True
    assert "upvest_rebalancing: " in ended.err
