"""What a province writes can never become more than text with marks; the house's own answers are whole."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.articles.answers import ANSWERS, HELPS
from dingkao.articles.models import CATEGORIES
from dingkao.articles.reading import escaped
from dingkao.articles.text import beginning, rendered
from dingkao.articles.writing import LONGEST_TITLE

TAGS = re.compile(r"</?(p|br|strong|em|ul|ol|li|h[3-6]|blockquote|hr|a|ol start=\"\d+\"|a href=\"[^\"<>]*\"( title=\"[^\"<>]*\")? rel=\"noopener noreferrer\")>")
PIECES = st.sampled_from(["<script>", "<img src=x onerror=1>", "](javascript:1)", "[a](", "data:text/html,", "![", "**", "_", "# ", "### ", "- ", "1. ", "\n\n", "<", ">", "&", '"', "'", "`", "https://", "甲"])


@given(st.lists(PIECES | st.text(max_size=8), max_size=30).map("".join))
def test_only_our_marks_come_out(body):
    rest = TAGS.sub("", str(rendered(body)))
    assert "<" not in rest
    assert ">" not in rest
    levels = [2, *(int(level) for level in re.findall(r"<h(\d)>", str(rendered(body))))]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for address in re.findall(r'href="([^"]*)"', str(rendered(body))):
        assert re.match(r"(https?://|mailto:|tel:)", address, re.IGNORECASE)


@given(st.text(max_size=300))
def test_a_beginning_is_one_short_line(body):
    found = beginning(body)
    assert len(found) <= 61
    assert "\n" not in found


@given(st.text(alphabet="%_\\a甲", max_size=12))
def test_an_escaped_word_means_itself(word):
    plain, at = "", 0
    text = escaped(word)
    while at < len(text):
        if text[at] == "\\":
            at += 1
        else:
            assert text[at] not in "%_"
        plain += text[at]
        at += 1
    assert plain == word


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: one.topic)
def test_each_of_the_houses_answers_is_whole(answer):
    assert answer.category in CATEGORIES
    assert len(answer.question) <= LONGEST_TITLE
    assert answer.question.endswith("?")
    assert 15 <= len(answer.short) <= 90
    assert answer.short.endswith("。")
    assert len(answer.body) > len(answer.short) // 2
    assert "**" not in str(rendered(answer.body))


def test_each_topic_is_one_alone():
    assert len(HELPS) == len(ANSWERS)
