"""The key is used on the loop or beside it, and no thread is left behind."""

import asyncio
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP521R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.stub import EXECUTION, EXECUTION_JSON, Stub, answer
from upvest_rebalancing import signing
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import InvalidRequestError
from upvest_rebalancing.options import Options
from upvest_rebalancing.protocol.keys import ED25519, P521
from upvest_rebalancing.signing import AHEAD, KeyWorker, SigningThreads, threads_for


class Key:
    """Notes in which thread it signs."""

    def __init__(self, algorithm: str = P521) -> None:
        self.algorithm = algorithm
        self.threads: list[threading.Thread] = []

    def sign(self, data: bytes) -> bytes:
        self.threads.append(threading.current_thread())
        return data[::-1]


def opened(key: Key, threads: int) -> KeyWorker:
    worker = KeyWorker(key, threads)
    worker.open()
    return worker


@pytest.mark.parametrize(
    ("algorithm", "cores", "threads"), [(P521, 2, 1), (P521, 8, 1), (P521, 1, 0), (ED25519, 8, 0)]
)
def test_how_many_threads(
    algorithm: str, cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_cores", lambda: cores)
    assert threads_for(Key(algorithm)) == threads
    assert threads_for(Key(algorithm), 5) == 5
    assert threads_for(Key(algorithm), 0) == 0


def test_there_is_a_core() -> None:
    assert signing._cores() >= 1


async def test_on_the_loop() -> None:
    key = Key()
    worker = KeyWorker(key)
    assert await worker.sign(b"abc") == b"cba"
    assert key.threads == [threading.current_thread()]
    worker.close()


async def test_beside_the_loop() -> None:
    key = Key()
    worker = opened(key, 2)
    for _ in range(10):
        assert await worker.sign(b"abc") == b"cba"
    used = set(key.threads)
    assert threading.current_thread() not in used
    assert 1 <= len(used) <= 2
    worker.close()
    for thread in used:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


async def test_the_loop_lends_a_hand_once_in_each_of_its_turns() -> None:
    class Slow(Key):
        """Its threads wait until the loop has done what it does by itself."""

        may_go = threading.Event()

        def sign(self, data: bytes) -> bytes:
            if threading.current_thread() is not threading.main_thread():
                assert self.may_go.wait(30)
            return super().sign(data)

    key = Slow()
    worker = opened(key, 1)
    tasks = [asyncio.create_task(worker.sign(bytes([n, 0]))) for n in range(20)]
    by_loop = 0
    for _ in range(40):
        before = len(key.threads)
        await asyncio.sleep(0)
        by_loop = len(key.threads)
        assert by_loop - before <= 1
    # So many are left for the thread, which may have taken one already.
    assert 20 - 1 - AHEAD <= by_loop <= 20 - AHEAD
    key.may_go.set()
    assert await asyncio.gather(*tasks) == [bytes([0, n]) for n in range(20)]
    worker.close()


async def test_many_signatures_at_once_are_each_their_own() -> None:
    worker = opened(Key(), 2)
    for _ in range(20):
        data = [str(number).encode() for number in range(50)]
        assert await asyncio.gather(*map(worker.sign, data)) == [one[::-1] for one in data]
    worker.close()


async def test_what_was_asked_for_before_the_end_is_signed() -> None:
    worker = opened(Key(), 1)
    tasks = [asyncio.create_task(worker.sign(bytes([n, 0]))) for n in range(20)]
    await asyncio.sleep(0)
    worker.close()
    assert await asyncio.gather(*tasks) == [bytes([0, n]) for n in range(20)]


def test_a_loop_that_is_gone_keeps_no_thread() -> None:
    key = Key()

    async def begin() -> None:
        worker = opened(key, 1)
        await worker.sign(b"ab")
        waiting = asyncio.ensure_future(worker.sign(b"cd"))
        await asyncio.sleep(0)
        waiting.cancel()
        worker.close()

    asyncio.run(begin())
    for thread in set(key.threads):
        thread.join(10)
        assert not thread.is_alive()


async def test_before_and_after_it_signs_on_the_loop() -> None:
    key = Key()
    worker = KeyWorker(key, 1)
    for _ in range(2):
        assert await worker.sign(b"ab") == b"ba"
        assert key.threads.pop() is threading.current_thread()
        worker.open()
        assert await worker.sign(b"ab") == b"ba"
        assert key.threads.pop() is not threading.current_thread()
        worker.close()
        worker.close()


def test_on_another_event_loop_it_signs_there() -> None:
    key = Key()
    worker = KeyWorker(key, 1)

    async def open_and_sign() -> None:
        worker.open()
        await worker.sign(b"ab")

    asyncio.run(open_and_sign())
    assert asyncio.run(worker.sign(b"ab")) == b"ba"
    assert key.threads[-1] is threading.current_thread()
    worker.close()


class InterruptError(BaseException):
    """Ends whatever it strikes, as a KeyboardInterrupt does, which would end the tests too."""


async def test_an_interrupted_hand_does_not_stop_the_crew() -> None:
    class Interrupted(Key):
        def sign(self, data: bytes) -> bytes:
            if threading.current_thread() is threading.main_thread():
                raise InterruptError
            return super().sign(data)

    struck: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: struck.append(context["exception"]))
    worker = opened(Interrupted(), 1)
    waiting = [asyncio.ensure_future(worker.sign(b"ab")) for _ in range(20)]
    while not struck:
        await asyncio.sleep(0)
    assert await asyncio.wait_for(worker.sign(b"cd"), 30) == b"dc"
    assert all(isinstance(error, InterruptError) for error in struck)
    for future in waiting:
        future.cancel()
    worker.close()


async def test_a_signature_that_nobody_waits_for_any_more() -> None:
    worker = opened(Key(), 1)
    task = asyncio.create_task(worker.sign(b"ab"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await worker.sign(b"cd") == b"dc"
    worker.close()


async def test_a_key_that_fails_says_so() -> None:
    class Broken(Key):
        def sign(self, data: bytes) -> bytes:
            raise ZeroDivisionError(len(data))

    worker = opened(Broken(), 1)
    with pytest.raises(ZeroDivisionError):
        await worker.sign(b"")
    worker.close()


async def test_what_a_future_does_not_take_is_said_in_other_words() -> None:
    class Odd(Key):
        def sign(self, data: bytes) -> bytes:
            raise StopIteration(len(data))

    worker = opened(Odd(), 1)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await worker.sign(b"")
    worker.close()


def p521() -> bytes:
    return generate_private_key(SECP521R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@pytest.mark.parametrize("threads", [0, 1, 2, "auto"])
async def test_a_client_signs_so_and_leaves_no_thread(threads: SigningThreads) -> None:
    before = set(threading.enumerate())
    async with Stub(lambda _: answer(EXECUTION_JSON)) as stub:
        settings = stub.settings(private_key=p521())
        async with RebalancingClient(settings, signing_threads=threads) as client:
            await asyncio.gather(*(client.execution(EXECUTION) for _ in range(20)))
        signatures = {seen.headers["signature"] for seen in stub.seen}
    assert len(signatures) == 20
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


@pytest.mark.parametrize("threads", [-1, 65, 1.5, True, "many"])
def test_numbers_of_threads_that_are_none(threads: Any) -> None:
    with pytest.raises(InvalidRequestError, match='0 to 64, or "auto", is right'):
        Options.of({"signing_threads": threads})
