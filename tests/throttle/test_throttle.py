"""The line: who goes when, and what is left of those who do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.throttle.virtual import FakeTime, run, settle
from upvest_rebalancing.errors import ClientClosedError
from upvest_rebalancing.protocol.pacing import Pacing
from upvest_rebalancing.throttle import PER_TURN, Throttle


@asynccontextmanager
async def place(throttle: Throttle) -> AsyncIterator[None]:
    await throttle.enter()
    try:
        yield
    finally:
        throttle.leave()


@attrs.define(eq=False)
class Scene:
    """A throttle, its time, and tasks that go through it."""

    concurrency: int = 2
    limit: float | None = None
    time: FakeTime = attrs.field(factory=FakeTime)
    throttle: Throttle = attrs.field(init=False)
    went: list[str] = attrs.field(factory=list)
    went_at: list[float] = attrs.field(factory=list)
    doors: dict[str, asyncio.Event] = attrs.field(factory=dict)
    tasks: dict[str, asyncio.Task[None]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.throttle = Throttle(
            concurrency=self.concurrency,
            pacing=Pacing(limit=self.limit),
            clock=self.time.clock,
            schedule=self.time.schedule,
        )

    async def call(self, name: str) -> None:
        """Take a place, and keep it until the door is opened."""
        async with place(self.throttle):
            assert self.throttle.active <= self.concurrency
            self.went.append(name)
            self.went_at.append(self.time.now)
            await self.doors[name].wait()

    async def fetch(self, name: str) -> None:
        await self.throttle.pace()
        self.went.append(name)

    async def begin(self, *names: str) -> None:
        for name in names:
            self.doors[name] = asyncio.Event()
            work: Coroutine[Any, Any, None] = (
                self.fetch(name) if name.startswith("token") else self.call(name)
            )
            self.tasks[name] = asyncio.create_task(work)
        await settle()

    async def finish(self, *names: str) -> None:
        for name in names:
            self.doors[name].set()
        await settle()

    async def cancel(self, *names: str) -> None:
        for name in names:
            self.tasks[name].cancel()
        await settle()

    def is_empty(self) -> bool:
        throttle = self.throttle
        return throttle.active == throttle.waiting == self.time.pending == 0

    async def end(self) -> None:
        """Cancel all that is left, and see that nothing stays behind."""
        await self.cancel(*self.tasks)
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        assert self.is_empty()


async def test_there_are_never_more_than_there_are_places() -> None:
    scene = Scene(concurrency=2)
    await scene.begin("a", "b", "c", "d")
    assert (scene.went, scene.throttle.active, scene.throttle.waiting) == (["a", "b"], 2, 2)
    await scene.finish("b")
    assert scene.went == ["a", "b", "c"]
    await scene.finish("a", "c", "d")
    assert scene.went == ["a", "b", "c", "d"]
    assert scene.is_empty()


async def test_without_a_limit_no_timer_is_set_and_nobody_waits() -> None:
    scene = Scene(concurrency=100)
    for _ in range(100):
        async with place(scene.throttle):
            scene.throttle.answered(200, sent_at=scene.time.now)
    assert scene.time.scheduled == 0


async def test_a_turn_of_the_loop_admits_a_few_and_the_next_ones_the_others() -> None:
    scene = Scene(concurrency=100)
    turns: list[int] = []

    async def call() -> None:
        throttle = scene.throttle
        if not throttle.enter_now():
            await throttle.enter()
        turns[-1] += 1
        throttle.leave()

    tasks = [asyncio.create_task(call()) for _ in range(5 * PER_TURN)]
    while not all(task.done() for task in tasks):
        turns.append(0)
        await asyncio.sleep(0)
    assert sum(turns) == len(tasks)
    assert max(turns) <= PER_TURN
    assert scene.is_empty()


async def test_one_after_the_other_they_need_no_turns_of_their_own() -> None:
    scene = Scene(concurrency=1)
    for _ in range(10 * PER_TURN):
        assert scene.throttle.enter_now()
        scene.throttle.leave()
        await asyncio.sleep(0)


def test_a_throttle_that_is_opened_on_another_loop_begins_anew() -> None:
    scene = Scene(concurrency=100)

    async def use_up() -> None:
        for _ in range(PER_TURN):
            assert scene.throttle.enter_now()
            scene.throttle.leave()
        assert not scene.throttle.enter_now()

    for _ in range(3):
        scene.throttle.open()
        asyncio.run(use_up())
        scene.throttle.close()


async def test_a_place_is_given_back_after_an_error() -> None:
    scene = Scene(concurrency=1)
    with pytest.raises(KeyError):
        async with place(scene.throttle):
            raise KeyError
    assert scene.is_empty()


async def test_they_go_in_the_order_in_which_they_came() -> None:
    scene = Scene(concurrency=100, limit=10)
    names = [str(number) for number in range(30)]
    await scene.begin(*names)
    await scene.time.advance(3.1)
    assert scene.went == names
    assert scene.went_at[-1] - scene.went_at[0] == pytest.approx(29 * 0.1 * 1.01 / 0.995)
    await scene.end()


async def test_one_admission_costs_one_timer_however_many_wait() -> None:
    scene = Scene(concurrency=5000, limit=100)
    await scene.begin(*(str(number) for number in range(3000)))
    assert scene.time.pending == 1
    await scene.time.advance(5.0)
    assert len(scene.went) == pytest.approx(500, abs=15)
    assert scene.time.scheduled <= len(scene.went)
    assert scene.time.pending == 1
    await scene.end()


async def test_those_who_give_up_leave_their_instant_to_the_next() -> None:
    scene = Scene(concurrency=100, limit=10)
    await scene.begin("a", "b", "c", "d")
    await scene.cancel("b", "c")
    await scene.time.advance(0.11)
    assert scene.went == ["a", "d"]
    await scene.end()


async def test_the_timer_goes_with_the_last_who_waits() -> None:
    scene = Scene(concurrency=100, limit=1)
    await scene.begin("a", "b", "c")
    await scene.cancel("b")
    assert scene.time.pending == 1
    await scene.cancel("c")
    assert scene.time.pending == 0
    assert scene.throttle.waiting == 0
    await scene.end()


async def test_a_task_that_is_cancelled_as_it_is_admitted_gives_all_back() -> None:
    scene = Scene(concurrency=1, limit=1)
    await scene.begin("a", "b", "c")
    await scene.time.advance(5)
    assert scene.throttle.active == 1
    scene.doors["a"].set()
    # The place goes to b within a turn of the loop in which b does not run.
    while scene.throttle.waiting == 2:
        await asyncio.sleep(0)
    scene.tasks["b"].cancel()
    await settle()
    assert scene.went == ["a", "c"]
    assert scene.throttle.active == 1
    await scene.end()


async def test_a_token_that_is_cancelled_as_it_is_admitted_takes_no_place() -> None:
    scene = Scene(concurrency=1, limit=1)
    await scene.begin("token a", "token b")
    assert scene.went == ["token a"]
    scene.time.now += 2
    scene.time.ring()
    assert scene.throttle.waiting == 0
    scene.tasks["token b"].cancel()
    await settle()
    assert scene.went == ["token a"]
    await scene.begin("c")
    assert scene.went == ["token a", "c"]
    await scene.end()


async def test_a_task_that_is_cancelled_and_did_not_run_since_is_passed_over() -> None:
    scene = Scene(concurrency=1)
    await scene.begin("a", "b", "c")
    scene.doors["a"].set()
    scene.tasks["b"].cancel()
    await settle()
    assert scene.went == ["a", "c"]
    assert scene.throttle.active == 1
    await scene.end()


async def test_the_token_goes_first_and_needs_no_place() -> None:
    scene = Scene(concurrency=1, limit=10)
    await scene.begin("a", *(f"call {number}" for number in range(1000)))
    await scene.begin("token")
    await scene.time.advance(0.11)
    # The one that holds the only place may be waiting for this very token.
    assert scene.went == ["a", "token"]
    await scene.finish("a")
    await scene.time.advance(0.2)
    assert scene.went == ["a", "token", "call 0"]
    await scene.end()


async def test_a_refusal_holds_everybody_until_one_passes() -> None:
    scene = Scene(concurrency=100)
    await scene.begin("a")
    await scene.time.advance(1)
    scene.throttle.answered(429, sent_at=scene.time.now, retry_after=3.0)
    await scene.begin("b", "c", "token")
    await scene.time.advance(2.9)
    assert scene.went == ["a"]
    await scene.time.advance(0.2)
    assert scene.went == ["a", "token"]
    await scene.end()


async def test_the_end_of_a_hold_is_not_slept_through() -> None:
    scene = Scene(concurrency=100, limit=100)
    now = scene.time.now
    for number in range(6):
        scene.throttle.answered(429, sent_at=now + number)
        scene.time.now += 1 + number
    await scene.begin("a", "b")
    assert scene.went == ["a"]
    scene.throttle.answered(200, sent_at=scene.time.now)
    await scene.time.advance(0.02)
    assert scene.went == ["a", "b"]
    assert scene.time.pending == 0
    await scene.end()


async def test_a_pause_that_grows_while_they_wait_is_kept() -> None:
    scene = Scene(concurrency=100, limit=10)
    await scene.begin("a", "b")
    scene.throttle.answered(503, sent_at=scene.time.now, retry_after=2.0)
    await scene.time.advance(1.9)
    assert scene.went == ["a"]
    await scene.time.advance(0.2)
    assert scene.went == ["a", "b"]
    await scene.end()


async def test_a_limit_that_the_server_tells_counts_where_it_is_wanted() -> None:
    deaf, listening = Scene(), Scene()
    listening.throttle.obeys_policies = True
    for scene in (deaf, listening):
        scene.throttle.answered(200, sent_at=0.0, policy='"default";q=50;w=1')
    assert deaf.throttle.pacing.rate(0.0) > 1e9
    assert listening.throttle.pacing.rate(0.0) == pytest.approx(50, rel=0.02)


async def test_closing_sends_all_away_and_leaves_nothing() -> None:
    scene = Scene(concurrency=1, limit=1)
    await scene.begin("a", "b", "token c", "token d")
    scene.tasks["token d"].cancel()
    scene.throttle.close()
    await settle()
    assert scene.time.pending == scene.throttle.waiting == 0
    for name in ("b", "token c"):
        with pytest.raises(ClientClosedError):
            await scene.tasks[name]
    assert scene.tasks["token d"].cancelled()
    with pytest.raises(ClientClosedError):
        await scene.throttle.pace()
    with pytest.raises(ClientClosedError):
        async with place(scene.throttle):
            raise AssertionError
    await scene.finish("a")
    assert scene.is_empty()
    scene.throttle.open()
    await scene.time.advance(2)
    await scene.begin("e")
    assert scene.went == ["a", "e"]
    await scene.end()


async def test_one_who_is_cancelled_just_after_closing_is_cancelled() -> None:
    scene = Scene(concurrency=1)
    await scene.begin("a", "b")
    scene.throttle.close()
    await scene.cancel("b")
    assert scene.tasks["b"].cancelled()
    await scene.finish("a")
    assert scene.is_empty()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 4)),
        st.tuples(st.just("token"), st.just(1)),
        st.tuples(st.sampled_from(["finish", "cancel", "cancel at once"]), st.integers(0, 40)),
        st.tuples(st.just("advance"), st.integers(1, 500)),
        st.tuples(st.just("answer"), st.sampled_from([200, 429, 500, 503])),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(concurrency=st.integers(1, 4), limit=st.none() | st.floats(2, 100), steps=STEPS)
def test_whatever_happens_the_counts_are_right(
    concurrency: int, limit: float | None, steps: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        scene = Scene(concurrency=concurrency, limit=limit)
        names: list[str] = []
        for step, value in steps:
            if step in {"begin", "token"}:
                new = [f"{step} {len(names) + number}" for number in range(value)]
                names += new
                await scene.begin(*new)
            elif step == "advance":
                await scene.time.advance(value / 1000)
            elif step == "answer":
                scene.throttle.answered(value, sent_at=scene.time.now - 0.001)
                await settle()
            elif names:
                name = names[value % len(names)]
                if step == "finish":
                    scene.doors[name].set()
                else:
                    scene.tasks[name].cancel()
                if step != "cancel at once":
                    await settle()
            inside = sum(
                name.startswith("begin") and not scene.tasks[name].done() for name in scene.went
            )
            assert scene.throttle.active <= concurrency
            if step != "cancel at once":
                assert scene.throttle.active == inside
        await settle()
        calls = [name for name in scene.went if name.startswith("begin")]
        assert calls == sorted(calls, key=names.index)
        assert (scene.time.pending > 0) <= (scene.throttle.waiting > 0)
        await scene.end()

    run(play())
