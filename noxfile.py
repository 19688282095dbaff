"""Sessions: tests, fire, bench, lint, types, package. Pythons come from pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests", "package"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests, with the package's coverage."""
    session.install("--editable", ".[cli,test]")
    session.run("pytest", "--numprocesses=auto", "--cov", *session.posargs)


@nox.session
def fire(session: nox.Session) -> None:
    """Run the tests under fire ten times as long as every test run does."""
    session.install("--editable", ".[cli,test]")
    env = {"FIRE_SCALE": "10"}
    session.run("pytest", "--numprocesses=auto", "tests/fire", *session.posargs, env=env)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers and limits, in under five minutes; takes `--write-readme`."""
    session.install(".[cli,bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, the tests' and a user's among them."""
    session.install("--editable", ".[cli,test]", "nox")
    session.run("mypy")


@nox.session(python=PYTHONS)
def package(session: nox.Session) -> None:
    """Build the wheel and run the tests against it, with the sources out of reach."""
    session.install("build")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    (wheel,) = dist.glob("*.whl")
    session.install(f"{wheel}[cli,test]")
    away = dist.parent / "away"
    shutil.rmtree(away, ignore_errors=True)
    away.mkdir()
    for name in ("tests", "docs", ".ci"):
        shutil.copytree(name, away / name)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "noxfile.py"):
        shutil.copy(name, away)
    with session.chdir(away):
        # Style and types are those of the sources, not of a wheel.
        session.run(
            "pytest", "--numprocesses=auto", "--ignore=tests/test_quality.py", *session.posargs
        )
