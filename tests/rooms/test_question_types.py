"""The table of question types: how each is called where, and which words of files name it."""

import pytest

from dingkao.question_banks.question_types import (
    QUESTION_TYPES,
    SharedContent,
    multiple_choice_names,
    parse_type_word,
    shared_content,
    single_choice_names,
    types_sharing,
)


def test_a_type_is_called_by_its_code_or_by_a_name_of_its_own():
    case, statement = QUESTION_TYPES["A3"], QUESTION_TYPES["TF"]
    assert (case.short_name, case.column_name, case.name) == ("A3", "A3型", "A3型题")
    assert (case.heading, case.print_heading) == ("A3型题 病例组型最佳选择题", "A3型题（病例组型最佳选择题）")
    assert case.heading_in_group(2, 3) == "A3/A4型题[2/3] 病例组型最佳选择题"
    assert QUESTION_TYPES["B1"].heading_in_group(1, 2) == "B1型题[1/2] 标准配伍题"
    assert (statement.short_name, statement.name, statement.heading) == ("判断", "判断题", "判断题")


def test_candidates_are_told_which_types_have_one_right_answer_and_which_several():
    assert (single_choice_names(), multiple_choice_names()) == ("A1、A2、A3、A4、B1型题和判断题", "X型题")


def test_what_a_group_shares_follows_from_its_type():
    assert [question_type.code for question_type in types_sharing(SharedContent.CASE)] == ["A3", "A4"]
    assert shared_content("B1") is SharedContent.OPTIONS
    assert (shared_content("A1"), shared_content("不是题型"), shared_content(None)) == (None, None, None)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("A1型题", "A1"),
        ("b", "B1"),
        ("A3／A4型", "A3"),
        ("多项选择题", "X"),
        ("是非题", "TF"),
        ("填空题", "填空题"),
    ],
)
def test_a_cell_names_a_type_by_code_label_or_a_usual_word(words, code):
    assert parse_type_word(words) == code
