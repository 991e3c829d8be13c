"""How often a client may ask; over HTTP in tests/integration/steps/test_rejected_share.py."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api_ec2.limits import Bucket, Rate


def test_so_many_at_once_and_then_as_many_as_time_brings() -> None:
    bucket = Bucket(Rate(a_second=2, at_once=3))
    assert [bucket.wait("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.wait("a", 100.4) > 0
    assert bucket.wait("a", 100.5) == 0
    assert bucket.wait("a", 100.5) > 0


def test_one_client_does_not_spend_what_is_anothers() -> None:
    bucket = Bucket(Rate(1, 1))
    assert bucket.wait("a", 0) == bucket.wait("b", 0) == 0
    assert bucket.wait("a", 0) > 0


def test_clients_that_have_not_come_for_long_are_forgotten() -> None:
    bucket = Bucket(Rate(0.001, 1), clients=2)
    for client in ("a", "b", "c"):
        bucket.wait(client, 0)
    assert bucket.wait("c", 0) > 0
    assert bucket.wait("a", 0) == 0


@given(st.lists(st.floats(0, 10), min_size=2, max_size=200), st.floats(0.5, 20), st.integers(1, 10))
def test_no_order_of_requests_gets_more_than_the_rate(gaps: list[float], a_second: float, at_once: int) -> None:
    bucket, now, taken = Bucket(Rate(a_second, at_once)), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if bucket.wait("a", now) == 0:
            taken.append(now)
    assert all(before <= after for before, after in pairwise(taken))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = at_once + (taken[last] - taken[first]) * a_second
            assert last - first + 1 <= allowed + 1e-6
