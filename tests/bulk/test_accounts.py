from __future__ import annotations

import csv
import io
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bulk.strategies import account, distinct_accounts, uuids
from upvest_rebalancing.bulk.accounts import Repeat, parse_accounts

A, B, C = account(1), account(2), account(3)

without_deadline = settings(deadline=None)


@given(distinct_accounts.filter(bool), st.sampled_from(["\n", "\r\n", ""]), st.booleans())
@without_deadline
def test_plain_lines_are_read_in_order(accounts: list[UUID], end: str, mark: bool) -> None:
    lines = [f"{one}{end}" for one in accounts]
    if mark:
        lines[0] = "\ufeff" + lines[0]
    read = parse_accounts(lines)
    assert read.accounts == tuple(accounts)
    assert not read.problems
    assert not read.repeats
    assert read.header is None


@given(
    distinct_accounts.filter(bool),
    st.lists(st.text(max_size=20), max_size=3),
    st.lists(st.text(max_size=20), max_size=3),
    st.sampled_from(",;\t"),
    st.sampled_from(["account_id", "ACCOUNT_ID", "Account_Id", " account_id "]),
    st.sampled_from(["\n", "\r\n"]),
)
@without_deadline
def test_a_written_csv_is_read_back(
    accounts: list[UUID],
    before: list[str],
    after: list[str],
    delimiter: str,
    header: str,
    end: str,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(
        [*(f"b{i}" for i in range(len(before))), header, *(f"a{i}" for i in range(len(after)))]
    )
    for one in accounts:
        writer.writerow([*before, str(one).upper(), *after])
    text.seek(0)
    read = parse_accounts(io.StringIO(text.getvalue(), newline=None))
    assert read.accounts == tuple(accounts)
    assert not read.problems
    assert read.header == header.strip()


@given(st.lists(uuids, min_size=1, max_size=40), st.randoms(use_true_random=False))
@without_deadline
def test_every_repeat_is_found_and_sent_once(accounts: list[UUID], chance: object) -> None:
    lines = [str(one) for one in accounts + accounts[: len(accounts) // 2]]
    read = parse_accounts(lines)
    assert read.accounts == tuple(dict.fromkeys(UUID(line) for line in lines))
    assert len(read.repeats) == len(lines) - len(read.accounts)
    for repeat in read.repeats:
        assert UUID(lines[repeat.line - 1]) == UUID(lines[repeat.first_line - 1])
        assert repeat.first_line < repeat.line


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60)))
@without_deadline
def test_no_text_breaks_the_reader(lines: list[str]) -> None:
    read = parse_accounts(lines)
    assert read.accounts or read.problems
    assert all(1 <= problem.line <= len(lines) + 1 for problem in read.problems)
    assert all(str(problem).isascii() and str(problem).isprintable() for problem in read.problems)


@pytest.mark.parametrize("blank", ["", "\n", "  \r\n", "\t\n"])
def test_blank_lines_are_passed_over_and_counted(blank: str) -> None:
    read = parse_accounts([blank, f"{A}\n", blank, f"{B}\n", blank, "nonsense 1\n"])
    assert read.accounts == (A, B)
    assert [problem.line for problem in read.problems] == [6]


@pytest.mark.parametrize("header", ["account_id", '"Account_ID"', "Account", "Konto Nummer"])
def test_a_single_column_may_have_any_header_of_words(header: str) -> None:
    read = parse_accounts([header, str(A)])
    assert read.accounts == (A,)
    assert read.header == header.strip('"')


@pytest.mark.parametrize(
    "line",
    [
        "43801b85-bbcf-41c7-8389-b018082a5ec",
        "43801b85bbcf41c78389b018082a5ec5",
        "{43801b85-bbcf-41c7-8389-b018082a5ec5}",
        "urn:uuid:43801b85-bbcf-41c7-8389-b018082a5ec5",
        "g3801b85-bbcf-41c7-8389-b018082a5ec5",
        "deadbeef-aaaa-bbbb-cccc-ddddeeeefff",
        "x1",
        "1",
    ],
)
def test_a_mistyped_first_line_is_no_header(line: str) -> None:
    read = parse_accounts([line, str(A)])
    assert read.header is None
    (problem,) = read.problems
    assert problem.line == 1
    assert line in problem.message
    assert "8-4-4-4-12" in problem.message


def test_an_account_without_a_digit_is_no_header() -> None:
    line = "abcdefab-cdef-abcd-efab-cdefabcdefab"
    assert parse_accounts([line]).accounts == (UUID(line),)


def test_every_bad_line_is_named_by_its_number() -> None:
    read = parse_accounts(["account_id\n", "one\n", f"{A}\n", "\n", "two\n"])
    assert [str(problem) for problem in read.problems] == [
        "line 2: 'one' is no UUID; 8-4-4-4-12 hexadecimal digits with hyphens would be right",
        "line 5: 'two' is no UUID; 8-4-4-4-12 hexadecimal digits with hyphens would be right",
    ]


def test_a_cell_that_spans_lines_counts_all_of_them() -> None:
    read = parse_accounts(["name,account_id\n", '"a\n', f'b",{A}\n', "c,nonsense\n"])
    assert read.accounts == (A,)
    assert [problem.line for problem in read.problems] == [4]


def test_a_repeat_names_both_lines() -> None:
    read = parse_accounts([str(A), str(B), str(A).upper()])
    assert read.accounts == (A, B)
    assert read.repeats == (Repeat(3, 1, A),)
    assert str(read.repeats[0]) == f"line 3 repeats line 1 ({A})"


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ([], 1, "holds no account"),
        (["", "", ""], 4, "holds no account"),
        (["account_id"], 1, "holds no account"),
        (["name,id", f"x,{A}"], 1, "none is named account_id; found 'name, id'"),
        ([f"{A},{B}"], 1, "none is named account_id"),
        (["account_id,ACCOUNT_ID", f"{A},{B}"], 1, "more than once"),
        (["name,account_id", "x"], 2, "no value in the column account_id"),
        (["name,account_id", "x,"], 2, "no value in the column account_id"),
        (["name,account_id", f"x,{A},y"], 2, "has 3 columns where 2 would be right"),
        ([f"{A}", f"{B},x"], 2, "has 2 columns where 1 would be right"),
        (["account_id", '"open'], 2, "is no CSV"),
        (["account_id", f'"{A}"x', f"{B}"], 2, "is no CSV"),
        (["account_id", "\udcff\x1b[31m"], 2, r"'\udcff\x1b[31m' is no UUID"),
        (["account_id", "9" * 100], 2, f"'{'9' * 60}...' is no UUID"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(lines: list[str], line: int, said: str) -> None:
    (problem,) = parse_accounts(lines).problems
    assert problem.line == line
    assert said in problem.message


def test_reading_goes_on_after_a_line_that_is_no_csv() -> None:
    read = parse_accounts(["account_id\n", '"x"y\n', f"{B}\n"])
    assert read.accounts == (B,)
    assert len(read.problems) == 1


def test_empty_cells_beyond_the_columns_are_passed_over() -> None:
    assert parse_accounts([f"{A},,", f"{B},", f"{C}"]).problems
    assert parse_accounts([f"{C}", f"{A},,", f"{B},"]).accounts == (C, A, B)
