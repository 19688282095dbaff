"""The parts of the command line that no command shows by itself."""

from __future__ import annotations

import asyncio
import io
import logging
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bulk.strategies import batch
from upvest_rebalancing import __main__ as entry
from upvest_rebalancing.bulk.batches import BatchReport, Stage
from upvest_rebalancing.bulk.summary import Summary
from upvest_rebalancing.cli.logs import LOGGER, log_to_stderr
from upvest_rebalancing.cli.reports import job_document, show_batches
from upvest_rebalancing.cli.running import Signals, run_until_stopped
from upvest_rebalancing.cli.screen import Screen, Stream, explain, plain
from upvest_rebalancing.errors import (
    Attempt,
    AttemptOutcome,
    BadRequestError,
    RebalancingError,
    TooManyRequestsError,
)


@given(st.text())
@settings(deadline=None)
def test_plain_text_steers_no_terminal_and_loses_nothing_printable(text: str) -> None:
    shown = plain(text)
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert plain(shown) == shown
    if text.isprintable():
        assert shown == text


async def _answer() -> int:
    await asyncio.sleep(0)
    return 42


async def _cancelled() -> None:
    raise asyncio.CancelledError


def test_a_coroutine_runs_to_its_end() -> None:
    assert run_until_stopped(_answer()) == 42


def test_a_cancellation_that_no_signal_caused_is_not_hidden() -> None:
    with pytest.raises(asyncio.CancelledError):
        run_until_stopped(_cancelled())


def test_ctrl_c_outside_the_event_loop_has_its_status_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as caught, Screen.open().reporting():
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_what_is_no_error_of_the_package_is_not_reported() -> None:
    with pytest.raises(ZeroDivisionError), Screen.open().reporting():
        raise ZeroDivisionError


def test_logging_is_set_up_once(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    log_to_stderr()
    logging.getLogger(LOGGER).debug("said")
    assert capsys.readouterr().err.count("said") == 1


def test_an_error_is_explained_with_what_it_knows() -> None:
    assert explain(RebalancingError("simply so")) == "simply so"
    refused = BadRequestError(
        "malformed",
        status=400,
        idempotency_key="key-1",
        request_id="id-1",
        attempts=(Attempt(1, 0, 1, AttemptOutcome.ANSWERED, status=400),),
    )
    assert explain(refused) == (
        "malformed\nrequest id: id-1\nthe call was not executed; idempotency key: key-1"
    )
    assert explain(TooManyRequestsError("busy (id-2)", request_id="id-2")) == "busy (id-2)"


def report(number: int, stage: Stage) -> BatchReport:
    return BatchReport(batch(2, number), stage, by_status={"ANY": 2}, error="so it is")


def test_every_stage_has_its_place_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    show_batches(Screen.open(), [report(n, stage) for n, stage in enumerate(Stage)])
    shown = capsys.readouterr().out
    for number, _ in enumerate(Stage):
        assert f"batch {number}; idempotency key key-{number}" in shown


def test_a_document_names_every_batch() -> None:
    document = job_document(
        Summary.of([], seconds=1, requests=2, retries=3),
        [report(n, stage) for n, stage in enumerate(Stage)],
        repeated=4,
        output="out.csv",
        is_interrupted=True,
    )
    assert [one["stage"] for one in document["batches"]] == [stage.value for stage in Stage]
    assert document["repeated"] == 4
    assert document["output"] == "out.csv"
    assert document["interrupted"] is True


def test_the_entry_point_runs_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Mock()
    monkeypatch.setattr(import_module("upvest_rebalancing.cli.app"), "app", app)
    entry.main()
    app.assert_called_once_with(prog_name="upvest-rebalancing")


class Lacking(ModuleType):
    """Stands for a module that can't be imported because another is missing."""

    def __init__(self, missing: str) -> None:
        super().__init__("lacking")
        self.missing = missing

    def __getattr__(self, name: str) -> Any:
        if name == "app":
            raise ModuleNotFoundError(f"No module named {self.missing!r}", name=self.missing)
        raise AttributeError(name)


@pytest.mark.parametrize("name", ["typer", "rich", "rich.console"])
def test_the_entry_point_names_a_missing_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setitem(sys.modules, "upvest_rebalancing.cli.app", Lacking(name))
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert f"needs {name.partition('.')[0]}, which" in said
    assert "pip install 'upvest-rebalancing[cli]'" in said


def test_the_entry_point_hides_no_other_missing_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upvest_rebalancing.cli.app", Lacking("aiohttp"))
    with pytest.raises(ModuleNotFoundError):
        entry.main()


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_broken_stream_raises_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Broken())
    log_to_stderr()
    logging.getLogger(LOGGER).debug("said")
    stream = Stream(Broken())
    stream.write("said")
    stream.flush()
    assert isinstance(stream.lost, BrokenPipeError)
    Stream(None).write("said")


def test_text_that_an_encoding_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="cp1252"))
    stream.write("\u6f22 \ud800")
    stream.flush()
    assert raw.getvalue() == rb"\u6f22 \ud800"
    assert stream.lost is None


def test_signals_during_a_report_are_passed_over_and_the_third_wins() -> None:
    with Signals() as signals:
        assert signals.run(_answer()) == 42
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
