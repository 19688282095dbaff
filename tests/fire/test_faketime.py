"""The machine's own clock jumps while a client runs, by libfaketime: no call fails."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import libfaketime
import pytest

from upvest_rebalancing.sandbox import Sandbox

SCRIPT = """
import asyncio, sys, time
from pathlib import Path
from uuid import uuid4
from upvest_rebalancing import RebalancingClient

async def main() -> None:
    async with RebalancingClient.from_env(None) as client:
        await asyncio.gather(*(client.trigger(accounts=[uuid4()]) for _ in range(50)))
        before = time.time()
        Path(sys.argv[1]).write_text(sys.argv[2])
        while abs(time.time() - before) < 1800:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(client.trigger(accounts=[uuid4()]) for _ in range(50)))
        print(round(client.clock_skew or 0))

asyncio.run(main())
"""


@pytest.mark.parametrize("jump", [3600, -3600])
async def test_the_machines_clock_jumps_by_an_hour_halfway(jump: int, tmp_path: Path) -> None:
    (library,) = Path(libfaketime.__file__).parent.rglob("libfaketime.so.1")
    stamp = tmp_path / "faketime"
    stamp.write_text("+0", "utf-8")
    async with Sandbox(key_type="ed25519", rate_limit=None) as sandbox:
        environ = {n: v for n, v in os.environ.items() if not n.startswith("UPVEST_API_")}
        environ |= sandbox.environment()
        environ |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(stamp),
            "FAKETIME_NO_CACHE": "1",
            # Only the time of day jumps, as it does on a real machine.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT, str(stamp), f"{jump:+d}"),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert process.returncode == 0, err.decode()
        assert sandbox.counters().triggers == 100
    assert int(out) == pytest.approx(-jump, abs=2)
    assert b"clock" not in err
