"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Verbose: TypeAlias = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Log every request to standard error."),
]
EnvFile: TypeAlias = Annotated[
    str,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="A file with UPVEST_API_… variables; the environment wins over it. Only .env may be "
        "missing.",
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to standard output.")
]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option("--timeout", min=0.001, metavar="SECONDS", help="How long to follow the orders."),
]
