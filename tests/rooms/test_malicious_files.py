"""Small files that ask for much end in a sentence, within a request's time and memory; `tests/load/bombs.py`
takes twenty of each kind."""

import random

import pytest

from dingkao.integrations.sandbox.runner import MB, Limits
from tests import malicious_files, malicious_pictures, malicious_workbooks

SHORT = Limits(256 * MB, 2, 64 * MB, 120)
"""A request's bounds, but for the time, which a test has little of."""
ENDS = {
    "xlsx: a far cell in any folder": {"TooLarge"}, "xlsx: billion laughs": {"InvalidInput", "TooLarge"},
    "zip: many members": {"TooLarge"}, "zip: overlapping members": {"TooLarge"}, "ods: repeated": {"TooLarge"}, "ods: billion laughs": {"InvalidInput", "TooLarge"},
    "docx: billion laughs": {"InvalidInput", "TooLarge"}, "png: too large": {"InvalidInput", "TooLarge"}, "pdf: forms within forms": {"LimitExceeded"},
}  # fmt: skip
"""How those end that no bounds could take in; others may be taken, if they fit."""


CAUSES = (
    "xlsx: a far cell in any folder", "xlsx: nested", "xlsx: billion laughs", "zip: overlapping members", "ods: repeated", "ods: blanks", "xls: circles",
    "docx: marks", "gift", "formula", "png: too large", "png: swollen texts", "pdf: forms within forms", "pdf: nested",
)  # fmt: skip
"""A kind for each cause: what is far away, deep, repeated, folded, circular, told of its size, or drawn for
ever. Every kind is `tests/load/bombs.py`'s."""


@pytest.mark.parametrize("kind", CAUSES)
def test_a_bomb_ends_in_a_sentence_within_its_bounds(kind):
    took = malicious_files.process_file(kind, malicious_files.KINDS[kind][1](random.Random(1)), SHORT)  # noqa: S311
    assert took.processor < SHORT.seconds + 1
    assert took.child <= SHORT.memory / MB
    assert took.own < 100
    assert took.end in ENDS.get(kind, {took.end})


def test_what_qpdf_leaves_out_for_want_of_memory_is_not_kept():
    content = malicious_pictures.object_streams(random.Random(0))  # noqa: S311
    assert (
        malicious_files.process_file("pdf: object streams", content, Limits(192 * MB, 10, 64 * MB, 120)).end
        == "LimitExceeded"
    )


def test_the_sample(samples):
    content = (samples / "faults" / "roster-far-corner-other-folder.xlsx").read_bytes()
    harmless = malicious_files.process_file(
        "xlsx: a far cell in any folder",
        malicious_workbooks.workbook(random.Random(0), malicious_workbooks.workbook_of_rows("")),  # noqa: S311
        SHORT,
    )
    took = malicious_files.process_file("xlsx: a far cell in any folder", content, SHORT)
    assert took.end == "TooLarge"
    assert took.child < harmless.child + 20  # what a child begins with differs by what was loaded before
