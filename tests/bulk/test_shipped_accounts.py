"""The shipped list of accounts is what its recipe makes, here and on every Python."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import UUID

from upvest_rebalancing.bulk.accounts import parse_accounts

PATH = Path(__file__).parents[2] / "docs" / "accounts.csv"


def recipe() -> str:
    chance = random.Random("upvest-rebalancing accounts")
    accounts = (UUID(int=chance.getrandbits(128), version=4) for _ in range(5000))
    return "".join(f"{line}\n" for line in ("account_id", *accounts))


def test_the_file_is_what_its_recipe_makes() -> None:
    assert PATH.read_bytes().decode() == recipe()


def test_the_file_holds_five_thousand_accounts_without_a_fault() -> None:
    with PATH.open(encoding="utf-8") as file:
        read = parse_accounts(file)
    assert len(read.accounts) == 5000
    assert not read.repeats
    assert not read.problems
    assert read.header == "account_id"
    assert {one.version for one in read.accounts} == {4}
