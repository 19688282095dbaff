"""The controller, step by step and for any order of events."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upvest_rebalancing.protocol.pacing import Pacing, PacingPolicy, Reservation

FLOAT_SLACK = 1e-6

FULL = 0.995 / 1.01
"""The share of the limit at which the pace goes: a margin and a reserve are left."""


def accept(pacing: Pacing, count: int, start: float, end: float) -> None:
    """Send so many, evenly spaced, and have them accepted at once."""
    for number in range(count):
        at = start + (end - start) * number / count
        pacing.take(at)
        pacing.answered(at, 200, sent_at=at)


def refused(at: float, *, successes: int = 100, status: int = 429, **more: Any) -> Pacing:
    """Give a controller that met its first refusal after so many successes in a second."""
    pacing = Pacing()
    accept(pacing, successes, at - 0.9, at)
    pacing.take(at - 0.01)
    pacing.answered(at, status, sent_at=at - 0.01, **more)
    return pacing


class TestPace:
    def test_without_a_limit_everything_goes_at_once(self) -> None:
        pacing = Pacing()
        assert pacing.rate(5.0) == math.inf
        for _ in range(1000):
            assert pacing.delay(5.0) == 0
            assert pacing.take(5.0) == Reservation()

    def test_with_a_limit_requests_are_spaced_evenly(self) -> None:
        pacing, step = Pacing(limit=10), 0.1 / FULL
        pacing.take(0.0)
        assert pacing.rate(0.0) == pytest.approx(10 * FULL)
        assert pacing.delay(0.0) == pytest.approx(step)
        assert pacing.delay(0.05) == pytest.approx(step - 0.05)
        assert pacing.delay(step) == pytest.approx(0)

    @pytest.mark.parametrize(
        ("late", "going"), [(0.0, 1), (0.031, 4), (0.05, 5), (0.1, 10), (0.9, 10)]
    )
    def test_late_requests_are_made_up_for_within_bounds(self, late: float, going: int) -> None:
        pacing = Pacing(limit=100)
        pacing.take(0.0)
        now = pacing.delay(0.0) + late
        gone = 0
        while pacing.delay(now) == 0:
            pacing.take(now)
            gone += 1
        assert gone == going

    def test_idle_time_is_not_saved_up(self) -> None:
        pacing = Pacing(limit=10)
        pacing.take(0.0)
        pacing.take(100.0)
        assert pacing.delay(100.0) == pytest.approx(0.1 / FULL)

    def test_what_was_taken_can_be_given_back(self) -> None:
        pacing = Pacing(limit=10)
        pacing.take(1.0)
        before = pacing.delay(1.2)
        pacing.give_back(pacing.take(1.2))
        assert pacing.delay(1.2) == before == 0

    def test_what_was_given_back_fills_no_window(self) -> None:
        pacing = Pacing(limit=1)
        pacing.give_back(pacing.take(1.0))
        pacing.take(1.02)
        assert pacing.delay(1.02) > 0

    @pytest.mark.parametrize("limit", [1e-3, 1e9, 1e300])
    def test_any_limit_is_borne(self, limit: float) -> None:
        pacing = Pacing(limit=limit)
        pacing.take(1.0)
        assert pacing.rate(1.0) == pytest.approx(limit * FULL)
        assert pacing.delay(1.0) == pytest.approx(1 / limit / FULL)

    @settings(deadline=None, max_examples=100)
    @given(
        limit=st.floats(0.5, 100),
        tolerance=st.floats(0.001, 0.5),
        told_after=st.none() | st.integers(0, 20),
        # Whatever was late, and why: these are the instants at which anything may go.
        gaps=st.lists(st.floats(0, 0.4) | st.floats(0, 0.02), min_size=1, max_size=200),
        cancelled=st.sets(st.integers(0, 200)),
    )
    def test_no_window_holds_more_than_the_limit(
        self,
        limit: float,
        tolerance: float,
        told_after: int | None,
        gaps: list[float],
        cancelled: set[int],
    ) -> None:
        policy = PacingPolicy(tolerance=tolerance)
        pacing = Pacing(limit=limit if told_after is None else None, policy=policy)
        sent: list[float] = []
        before = 0
        for turn, now in enumerate(itertools.accumulate(gaps)):
            if told_after is not None and turn < told_after:
                pacing.take(now)
                sent.append(now)
                before += 1
                continue
            if turn == told_after:
                limit = float(math.ceil(limit))
                pacing.told(f'"default";q={limit:.0f};w=1')
            while pacing.delay(now) == 0:
                reservation = pacing.take(now)
                if turn in cancelled:
                    pacing.give_back(reservation)
                    break
                sent.append(now)
        count, seconds = max(1, int(limit)), 1.01 * max(1.0, 1 / limit)
        # What went before the limit was known may be too many, but nothing is added to it.
        for last in range(max(count, before), len(sent)):
            assert sent[last] - sent[last - count] >= seconds - FLOAT_SLACK


class TestHold:
    @pytest.mark.parametrize("status", [429, 503])
    def test_after_a_refusal_nobody_goes_for_a_moment(self, status: int) -> None:
        pacing = refused(10.0, status=status)
        assert pacing.delay(10.0) == pytest.approx(0.05)
        assert pacing.delay(10.05) == pytest.approx(0)

    @pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 500, 502, 504])
    def test_no_other_answer_slows_down(self, status: int) -> None:
        pacing = Pacing()
        pacing.answered(10.0, status, sent_at=9.0)
        assert pacing.delay(10.0) == 0
        assert pacing.rate(10.0) == math.inf

    def test_refusals_of_what_was_on_its_way_change_nothing(self) -> None:
        pacing = refused(10.0)
        rate = pacing.rate(10.0)
        for number in range(50):
            pacing.answered(10.0 + number / 1000, 429, sent_at=9.99)
        assert pacing.delay(10.0) == pytest.approx(0.05)
        assert pacing.rate(10.0) == rate

    def test_it_grows_while_refusals_go_on_and_has_an_end(self) -> None:
        pacing = refused(10.0)
        now, holds = 10.0, []
        for _ in range(18):
            now += pacing.delay(now)
            pacing.take(now)
            now += 0.01
            pacing.answered(now, 429, sent_at=now - 0.01)
            holds.append(pacing.delay(now))
        assert holds[:4] == pytest.approx([0.05 * 1.5**power for power in range(1, 5)])
        assert holds[-1] == pytest.approx(20.0)

    def test_a_lasting_refusal_cuts_the_rate_once(self) -> None:
        pacing = refused(10.0)
        rate = pacing.rate(10.0)
        for now in (10.1, 10.4, 11.5, 13.0):
            pacing.take(now)
            pacing.answered(now + 0.01, 429, sent_at=now)
        assert pacing.rate(13.1) >= rate

    def test_the_first_hold_is_bounded_too(self) -> None:
        pacing = Pacing(policy=PacingPolicy(longest_hold=0.01))
        pacing.answered(10.0, 429, sent_at=9.9)
        assert pacing.delay(10.0) == pytest.approx(0.01)

    def test_requests_go_one_by_one_until_one_passes(self) -> None:
        pacing = refused(10.0)
        pacing.take(10.05)
        assert pacing.delay(10.05) == pytest.approx(0.05)
        pacing.answered(10.07, 200, sent_at=10.05)
        assert pacing.delay(10.07) == pytest.approx(0, abs=0.011)

    def test_a_success_of_before_the_refusal_ends_nothing(self) -> None:
        pacing = refused(10.0)
        pacing.answered(10.01, 200, sent_at=9.99)
        assert pacing.delay(10.01) == pytest.approx(0.04)

    def test_a_probe_that_did_not_go_leaves_its_instant(self) -> None:
        pacing = refused(10.0)
        reservation = pacing.take(10.06)
        assert pacing.delay(10.06) > 0
        pacing.give_back(reservation)
        assert pacing.delay(10.06) == 0

    def test_a_probe_without_a_pace_can_be_given_back(self) -> None:
        pacing = Pacing(policy=PacingPolicy(memory=0.01))
        pacing.answered(10.0, 429, sent_at=9.0)
        at = 10.0 + pacing.delay(10.0)
        assert pacing.rate(at) == math.inf
        reservation = pacing.take(at)
        assert reservation.interval == 0
        assert pacing.delay(at) > 0
        pacing.give_back(reservation)
        assert pacing.delay(at) == 0

    def test_giving_back_an_earlier_request_ends_no_hold(self) -> None:
        pacing = Pacing(limit=100)
        reservation = pacing.take(9.9)
        pacing.answered(10.0, 429, sent_at=9.8)
        pacing.give_back(reservation)
        assert pacing.delay(10.0) == pytest.approx(0.05)

    @pytest.mark.parametrize(("asked", "kept"), [(0.0, 0.05), (0.01, 0.05), (7.0, 7.0), (1e9, 60)])
    def test_retry_after_is_a_floor_within_bounds(self, asked: float, kept: float) -> None:
        assert refused(10.0, retry_after=asked).delay(10.0) == pytest.approx(kept)

    def test_retry_after_counts_from_a_late_refusal_too(self) -> None:
        pacing = refused(10.0)
        pacing.answered(10.01, 429, sent_at=9.98, retry_after=5.0)
        pacing.answered(10.02, 200, sent_at=10.005)
        assert pacing.delay(10.02) == pytest.approx(4.99)
        pacing.answered(10.03, 503, sent_at=9.98, retry_after=1.0)
        assert pacing.delay(10.03) == pytest.approx(4.98)


class TestRate:
    def test_the_first_refusal_sets_it_from_the_successes_of_a_second(self) -> None:
        assert refused(10.0, successes=200).rate(10.0) == pytest.approx(190)

    def test_successes_of_long_ago_do_not_count(self) -> None:
        pacing = Pacing()
        accept(pacing, 500, 0.0, 1.0)
        accept(pacing, 40, 9.2, 10.0)
        pacing.answered(10.0, 429, sent_at=9.99)
        assert pacing.rate(10.0) == pytest.approx(38)

    def test_without_a_success_it_starts_at_the_slowest(self) -> None:
        pacing = Pacing()
        pacing.answered(10.0, 503, sent_at=9.0)
        assert pacing.rate(10.0) == pytest.approx(0.95)

    def test_a_rate_that_was_not_used_is_halved_at_the_most(self) -> None:
        pacing = Pacing(limit=200)
        accept(pacing, 3, 9.5, 10.0)
        pacing.answered(10.0, 429, sent_at=9.99)
        assert pacing.rate(10.0) == pytest.approx(95 * FULL)

    def test_it_is_cut_once_in_a_second(self) -> None:
        pacing = refused(10.0)
        accept(pacing, 20, 10.1, 10.3)
        rate = pacing.rate(10.4)
        pacing.answered(10.4, 429, sent_at=10.35)
        assert pacing.rate(10.4) == rate
        accept(pacing, 40, 10.5, 11.1)
        pacing.answered(11.2, 429, sent_at=11.15)
        assert pacing.rate(11.2) < rate

    def test_it_comes_back_flattens_and_goes_on(self) -> None:
        pacing = refused(100.0, successes=300)
        rates = {}
        for number in range(9 * 400):
            now = 100.0 + number / 400
            if pacing.delay(now) == 0:
                pacing.take(now)
                pacing.answered(now, 200, sent_at=now)
            rates[number / 400] = pacing.rate(now)
        grown = [rate for age, rate in rates.items() if 0.2 < age < 8]
        assert all(a <= b for a, b in itertools.pairwise(grown))
        assert rates[0] == pytest.approx(285)
        assert 295 < rates[2] < 300
        assert 299 < rates[3] < 301
        assert rates[8] > 320

    def test_it_waits_while_nobody_sends(self) -> None:
        pacing = refused(10.0)
        accept(pacing, 5, 10.2, 10.3)
        before = pacing.rate(10.3)
        pacing.take(40.0)
        assert pacing.rate(40.0) == pytest.approx(before, rel=0.01)

    def test_what_was_found_out_is_forgotten(self) -> None:
        pacing = refused(10.0)
        pacing.take(10.2)
        pacing.answered(10.3, 200, sent_at=10.2)
        assert pacing.rate(69.0) < math.inf
        assert pacing.rate(70.1) == math.inf
        assert pacing.delay(70.1) == 0

    def test_it_never_goes_beyond_what_was_told(self) -> None:
        pacing = Pacing(limit=50)
        pacing.answered(10.0, 429, sent_at=9.9)
        for number in range(5000):
            now = 10.1 + number / 100
            if pacing.delay(now) == 0:
                pacing.take(now)
                pacing.answered(now, 200, sent_at=now)
            assert pacing.rate(now) <= 50 * FULL
        assert pacing.rate(59.0) == pytest.approx(50 * FULL)

    def test_a_lower_peak_leaves_room_for_others(self) -> None:
        alone, shrinking = refused(10.0, successes=100), refused(10.0, successes=200)
        for pacing in (alone, shrinking):
            accept(pacing, 99, 11.1, 11.9)
            pacing.answered(12.0, 429, sent_at=11.99)
            # Idle time is taken out of the curve, so this looks at the peaks alone.
            accept(pacing, 300, 12.1, 15.0)
        assert shrinking.rate(15.0) < alone.rate(15.0) * 1.01


class TestToldByTheServer:
    @pytest.mark.parametrize(
        ("policy", "rate"),
        [
            ('"default";q=100;w=1', 100),
            ('"a";q=204;w=1, "b";q=100;w=1', 100),
            ('"a" ; q=100 ; w=1', 100),
            ('"day";q=5000;w=86400', math.inf),
            ('"a";q=0;w=1', math.inf),
            ('"a";q=-5;w=1', math.inf),
            ('"a";q=1e3;w=1', math.inf),
            ('"a";q=' + "9" * 5000 + ";w=1", math.inf),
            ('"a";q=٣;w=1', math.inf),
            ("", math.inf),
            (";;;,=,", math.inf),
        ],
    )
    def test_a_quota_per_second_is_taken(self, policy: str, rate: float) -> None:
        pacing = Pacing()
        pacing.told(policy)
        assert pacing.rate(0.0) == pytest.approx(rate * FULL)

    def test_it_may_change_and_never_lifts_a_limit_of_our_own(self) -> None:
        pacing = Pacing(limit=100)
        for quota, rate in ((50, 50), (50, 50), (1000, 100)):
            pacing.told(f'"default";q={quota};w=1')
            assert pacing.rate(0.0) == pytest.approx(rate * FULL)

    @settings(deadline=None)
    @given(st.text())
    def test_any_text_is_borne(self, policy: str) -> None:
        pacing = Pacing()
        pacing.told(policy)
        assert pacing.rate(0.0) > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"decrease": 1.0},
        {"decrease": 0.0},
        {"tolerance": 0.0},
        {"margin": 0.0},
        {"reserve": 1.0},
        {"longest_hold": math.inf},
        {"hold_growth": 1.0},
    ],
)
def test_a_policy_out_of_range_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        PacingPolicy(**changes)


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from(["send", "cancel", 200, 429, 500, 503]),
        st.none() | st.floats(0, 200),
    ),
    max_size=150,
)


@settings(deadline=None)
@given(limit=st.none() | st.floats(0.5, 1000), events=EVENTS)
def test_whatever_happens_a_client_goes_on_within_bounds(
    limit: float | None, events: list[tuple[float, Any, float | None]]
) -> None:
    pacing, now = Pacing(limit=limit), 1000.0
    under_way: list[float] = []
    for gap, event, retry_after in events:
        now += gap
        if event in {"send", "cancel"}:
            now += pacing.delay(now)
            assert pacing.delay(now) <= FLOAT_SLACK
            reservation = pacing.take(now)
            if event == "cancel":
                pacing.give_back(reservation)
            else:
                under_way.append(now)
        elif under_way:
            pacing.answered(now, event, sent_at=under_way.pop(0), retry_after=retry_after)
        rate = pacing.rate(now)
        assert rate >= 0.25
        assert limit is None or rate <= limit
        # A pause of the server's, or a hold of our own, or one step of the pace: no more.
        assert 0 <= pacing.delay(now) <= max(60.0, 1 / rate) + FLOAT_SLACK
