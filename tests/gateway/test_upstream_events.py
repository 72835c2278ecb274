"""Upstream bytes, however they are split, become whole events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError, UpstreamRateLimited
from gateway.providers.events import DONE, EventReader
from tests.gateway.fakes import events

STREAM = b"".join(
    events([{"role": "assistant", "content": ""}, {"content": "Grüße 😀"}, {"content": " [A]"}], usage={})
)


def read(*pieces: bytes) -> bytes:
    reader = EventReader()
    return b"".join(reader.feed(piece) for piece in pieces)


def test_a_stream_cut_anywhere_is_the_same_stream() -> None:
    for at in range(len(STREAM)):
        assert read(STREAM[:at], STREAM[at:]) == STREAM


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_in_any_pieces_is_the_same_stream(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in pairwise(edges))) == STREAM


def test_only_whole_events_come_out() -> None:
    reader = EventReader()
    for byte in range(len(STREAM)):
        block = reader.feed(STREAM[byte : byte + 1])
        assert block == b"" or (block.startswith(b"data: ") and block.endswith(b"\n\n"))


def test_carriage_returns_are_line_ends() -> None:
    returns = STREAM.replace(b"\n", b"\r\n")
    for at in range(len(returns)):
        assert read(returns[:at], returns[at:]) == STREAM


def test_comments_and_event_names_are_taken_out() -> None:
    first, rest = STREAM.split(b"\n\n", 1)
    noisy = b": ping\n\nevent: chunk\nid: 1\n" + first + b"\n\n: ping\n\n\n" + rest
    assert read(noisy) == STREAM


def test_data_without_a_space_and_on_several_lines_is_one_line_of_data() -> None:
    assert read(b'data:{"choices":\ndata: []}\n\n') == b'data: {"choices": []}\n\n'


def test_the_end_is_seen_and_nothing_after_it_is_passed_on() -> None:
    reader = EventReader()
    reader.feed(STREAM)
    assert reader.done
    assert not EventReader().done


def test_a_text_that_speaks_of_the_end_is_not_the_end() -> None:
    reader = EventReader()
    reader.feed(events([{"content": "data: [DONE]"}])[0])
    assert not reader.done


@pytest.mark.parametrize(
    "garbage", [b'data: {"choices": [{"delta"\n\n', b"data: <html>\n\n", b"data: []\n\n", b'data: {"ok":1}\n\n', DONE]
)
def test_garbage_is_an_error_before_the_first_byte(garbage: bytes) -> None:
    with pytest.raises(UpstreamError):
        read(garbage)


def test_a_page_in_place_of_a_stream_is_no_stream() -> None:
    reader = EventReader()
    assert reader.feed(b"<html>\n\n<p>It works!</p>\n\n</html>") == b""
    with pytest.raises(UpstreamError):
        reader.end()


def test_a_missing_end_is_an_error() -> None:
    reader = EventReader()
    reader.feed(events([{"content": "half"}], done=False)[0])
    with pytest.raises(UpstreamError):
        reader.end()


def test_an_end_without_its_blank_line_counts() -> None:
    reader = EventReader()
    reader.feed(STREAM[:-2])
    assert not reader.done
    assert reader.end() == DONE
    assert reader.done


def test_an_error_in_the_first_event_is_raised_at_once() -> None:
    with pytest.raises(UpstreamRateLimited):
        read(b'data: {"error": {"message": "slow down", "type": "rate_limit_error"}}\n\n')


def test_an_error_later_lets_what_came_before_pass() -> None:
    reader = EventReader()
    first = events([{"content": "half"}])[0]
    assert reader.feed(first + b'data: {"error": {"message": "overloaded"}}\n\n') == first
    assert isinstance(reader.error, UpstreamError)
    assert "overloaded" in str(reader.error)


def test_a_null_error_is_no_error() -> None:
    reader = EventReader()
    reader.feed(b'data: {"choices": [], "error": null}\n\n')
    assert reader.error is None


def test_an_answer_without_an_end_in_sight_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.providers.events.MOST_BYTES", 1000)
    reader = EventReader()
    for _ in range(10):
        reader.feed(b"x" * 100)
    with pytest.raises(UpstreamError, match="larger"):
        reader.feed(b"x")
