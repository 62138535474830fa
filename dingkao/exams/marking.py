"""Marking: a pure function of keys and answers."""

from collections.abc import Mapping, Sequence


def right(key: str, letters: str) -> bool:
    """Whether an answer earns its point: exactly the key's letters, in whatever order; for X all or nothing."""
    return bool(letters) and set(letters) == set(key)


def score_tenths(keys: Sequence[str], answers: Mapping[int, str]) -> int:
    """The score in tenths of a point of 100: `keys` by position, `answers` position → letters; every question counts alike."""
    if not keys:
        raise ValueError("a paper without questions can't be marked")
    points = sum(right(key, answers.get(position, "")) for position, key in enumerate(keys))
    return (points * 2000 + len(keys)) // (2 * len(keys))
