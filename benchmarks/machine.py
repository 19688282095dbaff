"""Say on which machine, and with what, a run was made."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cryptography.hazmat.backends.openssl.backend import backend

PACKAGES: Final = (
    "aiohttp",
    "attrs",
    "cattrs",
    "cryptography",
    "http-message-signatures",
    "httpx",
    "msgspec",
    "orjson",
    "requests",
    "upvest-investment-api",
    "upvest-rebalancing",
)


def describe() -> dict[str, str]:
    """Describe the machine, the interpreter and the packages; the load is that before the run."""
    return {
        "processor": f"{_processor()}, {_cores()} cores for this run",
        "load before the run": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OpenSSL": backend.openssl_version_text(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
