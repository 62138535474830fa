"""What a province writes can never become more than text with marks; the house's own answers are whole."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dingkao.articles.default_answers import ANSWERS, HELP_BY_TOPIC
from dingkao.articles.editing import MAX_TITLE_LENGTH
from dingkao.articles.markdown import excerpt, render
from dingkao.articles.models import CATEGORIES
from dingkao.articles.queries import escape_like

TAGS = re.compile(
    r"</?(p|br|strong|em|ul|ol|li|h[3-6]|blockquote|hr|a|ol start=\"\d+\"|a href=\"[^\"<>]*\"( title=\"[^\"<>]*\")? rel=\"noopener noreferrer\")>"
)
PIECES = st.sampled_from(
    [
        "<script>",
        "<img src=x onerror=1>",
        "](javascript:1)",
        "[a](",
        "data:text/html,",
        "![",
        "**",
        "_",
        "# ",
        "### ",
        "- ",
        "1. ",
        "\n\n",
        "<",
        ">",
        "&",
        '"',
        "'",
        "`",
        "https://",
        "甲",
    ]
)


@given(st.lists(PIECES | st.text(max_size=8), max_size=30).map("".join))
@example("[a](javascript:1)")
@example("[a](data:text/html,1)")
@example("<javascript:1>")
def test_only_our_marks_come_out(body):
    text_without_tags = TAGS.sub("", str(render(body)))
    assert "<" not in text_without_tags
    assert ">" not in text_without_tags
    levels = [2, *(int(level) for level in re.findall(r"<h(\d)>", str(render(body))))]
    assert all(next_level <= previous_level + 1 for previous_level, next_level in itertools.pairwise(levels))
    for address in re.findall(r'href="([^"]*)"', str(render(body))):
        assert re.match(r"(https?://|mailto:|tel:)", address, re.IGNORECASE)


@given(st.text(max_size=300))
def test_a_beginning_is_one_short_line(body):
    beginning = excerpt(body)
    assert len(beginning) <= 61
    assert "\n" not in beginning


@given(st.text(alphabet="%_\\a甲", max_size=12))
def test_an_escaped_word_means_itself(word):
    plain, count = "", 0
    text = escape_like(word)
    while count < len(text):
        if text[count] == "\\":
            count += 1
        else:
            assert text[count] not in "%_"
        plain += text[count]
        count += 1
    assert plain == word


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: one.topic)
def test_each_of_the_houses_answers_is_whole(answer):
    assert answer.category in CATEGORIES
    assert len(answer.question) <= MAX_TITLE_LENGTH
    assert answer.question.endswith("？")
    assert 15 <= len(answer.short) <= 90
    assert answer.short.endswith("。")
    assert len(answer.body) > len(answer.short) // 2
    assert "**" not in str(render(answer.body))


def test_each_topic_is_one_alone():
    assert len(HELP_BY_TOPIC) == len(ANSWERS)
