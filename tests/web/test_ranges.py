"""Ranges of bytes, as RFC 9110 has them."""

from __future__ import annotations

import pytest

from unlatch.web.problems import ProblemError, Trouble
from unlatch.web.ranges import ByteRange, find_range


@pytest.mark.parametrize(
    ("given", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 40),
        ("bytes=60-", 60, 100),
        ("bytes=99-", 99, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-500", 0, 40),
        (" bytes=3-4 ", 3, 5),
    ],
)
def test_a_range_is_cut_to_what_is_there_and_may_be_given(given: str, begin: int, end: int) -> None:
    found = find_range(given, 100, at_most=40)
    assert found == ByteRange(begin=begin, end=end)
    assert found.header(100) == f"bytes {begin}-{end - 1}/100"


@pytest.mark.parametrize(
    "given",
    [None, "", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=" + "9" * 30 + "-"],
)
def test_what_is_no_single_range_is_passed_over(given: str | None) -> None:
    assert find_range(given, 100, at_most=40) is None


@pytest.mark.parametrize(
    ("given", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-5", 0), ("bytes=-0", 9)]
)
def test_a_range_behind_the_end_is_refused(given: str, size: int) -> None:
    with pytest.raises(ProblemError) as refused:
        find_range(given, size, at_most=40)
    assert refused.value.trouble is Trouble.OUT_OF_RANGE
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}
