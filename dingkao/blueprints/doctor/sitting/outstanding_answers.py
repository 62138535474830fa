"""Answers that a page could not send before handing in, and that are sent with the form; also for mock
exams."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import request

from dingkao.errors import InvalidState, Refusal, Unavailable

MAX_OUTSTANDING, MAX_OUTSTANDING_CHARACTERS = 400, 200_000
END_TOLERANCE = timedelta(seconds=2)
"""How long before the end a page may hand in automatically, because its clock may differ from the
server's."""


def parse_outstanding_answers() -> list[Any]:
    """The first MAX_OUTSTANDING answers sent with the form (`outstanding`, a JSON list of what `save_answer`
    takes), not checked; empty if there are none, or the text is longer than MAX_OUTSTANDING_CHARACTERS or no
    list."""
    text = request.form.get("outstanding", "")
    return _parse_list(text)[:MAX_OUTSTANDING] if len(text) <= MAX_OUTSTANDING_CHARACTERS else []


def _parse_list(text: str) -> list[Any]:
    """The JSON list in a text; empty if it is no list."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def save_outstanding_answers(outstanding: list[Any], save: Callable[[Any], str]) -> int:
    """Save each answer with `save`, separately, so that one tapped too late doesn't prevent saving one tapped
    in time. `save` raises InvalidState for an answer that comes too late; any other refusal but Unavailable
    leaves the answer out silently. Returns how many came too late. Raises Unavailable."""
    return sum(not _save_unless_late(answer, save) for answer in outstanding)


def _save_unless_late(answer: Any, save: Callable[[Any], str]) -> bool:
    """Save one answer; return whether it came in time, which is also said of those that `save` refuses for
    another reason (malformed ones). Raises Unavailable."""
    try:
        save(answer)
    except InvalidState:
        return False
    except Unavailable:
        raise
    except Refusal:
        return True
    return True


def newer_answers(outstanding: list[Any], stored: dict[int, tuple[str, int]]) -> list[Any]:
    """Those answers sent with the form that are newer (by sequence number) than the `stored` ones (position →
    letters and sequence number), which were scored."""
    return [answer for answer in outstanding if _is_newer(answer, stored)]


def _is_newer(answer: Any, stored: dict[int, tuple[str, int]]) -> bool:
    """Whether an answer's sequence number is greater than the stored one's for its position; False for a
    malformed answer."""
    if not isinstance(answer, dict):
        return False
    sequence = answer.get("sequence")
    position = answer.get("position")
    if type(sequence) is not int or type(position) is not int:  # isinstance would accept bool
        return False
    _, stored_sequence = stored.get(position, ("", 0))
    return sequence > stored_sequence
