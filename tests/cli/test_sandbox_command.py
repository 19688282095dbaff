from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.support import finish, invoke, start
from upvest_rebalancing.sandbox import Sandbox


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Send this process a signal as soon as a sandbox has written its file."""

    def stop_by(number: int) -> None:
        original = Sandbox.write_env_file

        def write(self: Sandbox, path: str | Path) -> Path:
            written = original(self, path)
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
            return written

        monkeypatch.setattr(Sandbox, "write_env_file", write)

    return stop_by


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_closes(
    stopping: Callable[[int], None], tmp_path: Path, number: int
) -> None:
    stopping(number)
    ended = invoke(
        "sandbox", "--env-file", "made.env", "--token-lifetime", "99", "--rate-limit", "0"
    )
    assert ended.status == 0, ended
    assert ended.out.startswith("http://127.0.0.1:")
    assert len(ended.out.splitlines()) == 1
    assert str(tmp_path / "made.env") in ended.err
    assert "upvest-rebalancing check --env-file made.env" in ended.err
    assert "the sandbox is closed" in ended.err


def test_it_says_where_it_is_as_json_and_overwrites_its_own_file(
    stopping: Callable[[int], None], tmp_path: Path
) -> None:
    stopping(signal.SIGINT)
    for key_type in ("p521", "ed25519"):
        ended = invoke("sandbox", "--json", "--key-type", key_type, "--rate-limit-kind", "bucket")
        assert ended.status == 0, ended
        assert ended.document["env_file"] == str(tmp_path / "sandbox.env")
        assert ended.document["url"] in (tmp_path / "sandbox.env").read_text()


@pytest.mark.parametrize("content", [b"UPVEST_API_CLIENT_ID=precious\n", b"\xff"])
def test_a_file_that_is_no_sandboxs_is_never_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    ended = invoke("sandbox", "--env-file", ".env")
    assert ended.status == 2, ended
    assert ".env exists and is no sandbox's" in ended.err
    assert (tmp_path / ".env").read_bytes() == content


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--host", "0.0.0.0"], "loopback"),
        (["--port", "65536"], "--port"),
        (["--env-file", "nowhere/made.env"], "does not exist"),
        (["--env-file", "odd-${HOME}.env"], "odd-${HOME}.env can't be written"),
        (["--cancelled-share", "2"], "--cancelled-share"),
    ],
)
def test_wrong_options_are_named_and_end_with_2(args: list[str], said: str) -> None:
    ended = invoke("sandbox", *args)
    assert ended.status == 2, ended
    assert said in ended.err


def test_a_port_that_is_taken_makes_the_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = invoke("sandbox", "--port", str(taken.getsockname()[1]))
    assert ended.status == 1, ended
    assert "can't listen at 127.0.0.1" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_another_process_can_use_it_as_it_stands(tmp_path: Path, number: int) -> None:
    process = start("sandbox", "--env-file", "made.env", "--order-seconds", "0", "--json")
    assert process.stdout is not None
    document = json.loads("".join(iter_document(process.stdout.readline)))
    checked = invoke("check", "--env-file", document["env_file"])
    assert checked.status == 0, checked
    triggered = invoke(
        "trigger", "--account", document_account(), "--wait", "--env-file", document["env_file"]
    )
    assert triggered.status == 0, triggered
    process.send_signal(number)
    ended = finish(process)
    assert ended.status == 0, ended
    assert "Traceback" not in ended.err


def iter_document(readline: Callable[[], str]) -> list[str]:
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(readline())
        assert lines[-1], "the process ended too early"
    return lines


def document_account() -> str:
    return "43801b85-bbcf-41c7-8389-b018082a5ec5"
