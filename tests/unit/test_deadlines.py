"""A deadline ends a block as `asyncio.timeout` does, however many share its timer."""

import asyncio

import pytest

from upvest_rebalancing.deadlines import Deadlines


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines()


async def hang(deadlines: Deadlines, seconds: float) -> None:
    with deadlines.within(seconds):
        await asyncio.Event().wait()


async def test_a_block_that_ends_in_time_is_left_alone(deadlines: Deadlines) -> None:
    with deadlines.within(60):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    deadlines.close()


async def test_a_block_whose_time_is_up(deadlines: Deadlines) -> None:
    with pytest.raises(TimeoutError):
        with deadlines.within(0.01):
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_the_nearest_deadline_goes_first_whoever_came_first(deadlines: Deadlines) -> None:
    ended: list[str] = []

    async def wait(name: str, seconds: float) -> None:
        try:
            await hang(deadlines, seconds)
        except TimeoutError:
            ended.append(name)

    names = {"late": 0.09, "early": 0.01, "middle": 0.05}
    await asyncio.gather(*(wait(name, seconds) for name, seconds in names.items()))
    assert ended == ["early", "middle", "late"]


async def test_one_that_ends_in_time_takes_no_timer_from_the_others(deadlines: Deadlines) -> None:
    waiting = asyncio.create_task(hang(deadlines, 0.05))
    with deadlines.within(0.01):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await waiting


async def test_somebody_elses_cancellation_goes_on(deadlines: Deadlines) -> None:
    task = asyncio.create_task(hang(deadlines, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_a_cancellation_at_the_same_moment_wins(deadlines: Deadlines) -> None:
    task = asyncio.create_task(hang(deadlines, 0))
    await asyncio.sleep(0)
    # The deadline's own cancellation is under way by now, or comes in the same turn.
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_is_not_hidden(deadlines: Deadlines) -> None:
    async def fail_while_being_cut_off() -> None:
        with deadlines.within(0.01):
            try:
                await asyncio.Event().wait()
            finally:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_while_being_cut_off()


async def test_nested_deadlines_each_end_their_own_block(deadlines: Deadlines) -> None:
    with deadlines.within(60):
        with pytest.raises(TimeoutError):
            with deadlines.within(0.01):
                await asyncio.Event().wait()
        await asyncio.sleep(0)
    deadlines.close()


def test_it_is_for_tasks(deadlines: Deadlines) -> None:
    async def block() -> None:
        deadline = deadlines.within(1)
        done = asyncio.get_running_loop().create_future()

        def outside_a_task() -> None:
            with pytest.raises(RuntimeError, match="for a task"):
                deadline.__enter__()
            done.set_result(None)

        asyncio.get_running_loop().call_soon(outside_a_task)
        await done

    asyncio.run(block())


async def test_an_empty_look_sets_no_timer(deadlines: Deadlines) -> None:
    with deadlines.within(0.01):
        pass
    await asyncio.sleep(0.03)
    assert deadlines._timer is None
