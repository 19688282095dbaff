"""What importing this package brings along: counted and not timed, so that no machine is too slow.

Nearly all of the time beyond aiohttp's goes into libraries and into methods that attrs writes and
compiles, so these are what is held down.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"
PATIENCE = 60.0
DEFERRED = {"authlib", "backoff", "cattrs", "cryptography", "dotenv", "html", "msgspec"}
"""What the first key, client, retry, environment file or echoed secret imports."""
CLIENT = "from upvest_rebalancing import RebalancingClient"

MOST_MODULES = 60
"""Beyond those of aiohttp; measured: 50, of which 42 are ours."""
MOST_LINES = 1500
"""That attrs writes for our classes as the client is imported; measured: 1292, and once 2496."""


def run(code: str) -> Any:
    """Run code in a fresh interpreter; it leaves its result in `result`."""
    script = f"import json, sys\n{code}\nsys.stdout.write(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return json.loads(done.stdout)


def loaded(code: str) -> set[str]:
    return set(run(f"{code}\nresult = sorted(sys.modules)"))


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_the_front_page_brings_no_library() -> None:
    found = loaded("import upvest_rebalancing")
    assert not roots(found) & (DEFERRED | {"aiohttp", "asyncio", "attr", "attrs", "ssl", "yarl"})
    ours = {name for name in found if name.startswith("upvest_rebalancing")}
    assert ours == {"upvest_rebalancing", "upvest_rebalancing._version"}


def test_the_client_brings_aiohttp_and_hardly_anything_else() -> None:
    beyond = loaded(CLIENT) - loaded("import aiohttp")
    assert not roots(beyond) & DEFERRED
    assert len(beyond) <= MOST_MODULES, sorted(beyond)


@pytest.mark.parametrize("name", ["Settings", "SigningKey", "RetryPolicy", "NotFoundError"])
def test_no_other_name_brings_more(name: str) -> None:
    assert not roots(loaded(f"from upvest_rebalancing import {name}")) & DEFERRED


def test_attrs_has_little_to_write() -> None:
    written = run(
        f"{CLIENT}\nimport linecache\n"
        "scripts = {n: lines for n, (_, _, lines, _) in linecache.cache.items() if 'upvest' in n}\n"
        "result = {n: len(lines) for n, lines in scripts.items() if n.startswith('<attrs ')}"
    )
    assert written, "attrs no longer keeps what it writes where this test looks"
    largest = sorted(written.items(), key=lambda item: -item[1])[:10]
    assert sum(written.values()) <= MOST_LINES, largest


def test_whoever_makes_a_client_waits_for_libraries_and_no_call_does() -> None:
    settings = {
        "UPVEST_API_KEY_ID": "k",
        "UPVEST_API_CLIENT_ID": "43801b85-bbcf-41c7-8389-b018082a5ec5",
        "UPVEST_API_CLIENT_SECRET": "a secret",
        "UPVEST_API_HTTP_SIGN_PRIVATE_KEY_FILENAME": str(VECTORS / "openssl-p521.pem"),
    }
    found = loaded(f"{CLIENT}\nRebalancingClient.from_env(None, environ={settings!r})")
    assert {"authlib", "cattrs", "cryptography", "msgspec"} <= roots(found)
    assert "upvest_rebalancing.protocol.structuring" in found


INTERRUPTS = """\
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == {at!r}:
            sys.stderr.write("interrupted;")
            exec({how!r}, {{"os": os, "signal": signal}})

# Where tests run in the background, it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
"""
RAISED = "os.kill(os.getpid(), signal.SIGINT); sum(range(10**5))"
LOST = f"""\
class Lost:
    def __del__(self):
        {RAISED}
Lost()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no process can send itself Ctrl-C there")
@pytest.mark.parametrize("how", [RAISED, LOST], ids=["raised", "lost"])
@pytest.mark.parametrize("start", ["module", "script"])
def test_ctrl_c_in_the_midst_of_imports_ends_quietly(tmp_path: Path, how: str, start: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS.format(at="aiohttp", how=how))
    command = {
        "module": ["-m", "upvest_rebalancing", "--version"],
        "script": ["-c", "from upvest_rebalancing.__main__ import main; main()", "--version"],
    }
    done = subprocess.run(
        [sys.executable, *command[start]],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted;")


@pytest.mark.skipif(sys.platform == "win32", reason="no process can send itself Ctrl-C there")
def test_ctrl_c_that_went_through_exec_ends_with_130_too(tmp_path: Path) -> None:
    code = INTERRUPTS.format(at="upvest_rebalancing.tested", how=RAISED)
    (tmp_path / "sitecustomize.py").write_text(code)
    (tmp_path / "started.py").write_text(
        "import upvest_rebalancing.__main__ as entry\n"
        "def run(): import upvest_rebalancing.tested\n"
        "entry._run = run\n"
        "entry.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "started"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert done.returncode != -signal.SIGINT
    assert (done.returncode, done.stderr) == (130, "interrupted;")
