"""Validating a row of a question file: it becomes a question, or InvalidQuestionRow says why it can't."""

import re
from dataclasses import dataclass

from dingkao.doctors.code_lists import code_for
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks import text_checks, unsupported_content
from dingkao.question_banks.importing.columns import (
    COLUMNS,
    cell_text,
)
from dingkao.question_banks.importing.option_cells import (
    Option,
    parse_options,
)
from dingkao.question_banks.importing.parsed_question import (
    InvalidQuestionRow,
    ParsedQuestion,
    RowWarning,
)
from dingkao.question_banks.models import (
    DIFFICULTIES,
    QUESTION_PURPOSES,
    SUBJECTS,
)
from dingkao.question_banks.question_types import (
    MULTIPLE_CHOICE,
    QUESTION_TYPES,
    SINGLE_CHOICE,
    TRUE_FALSE,
    QuestionType,
    SharedContent,
    is_true_false,
    parse_type_word,
)
from dingkao.tenants.encryption import normalise_text

UNCHANGED_WHEN_EMPTY = ("kind", "subject", "difficulty", "purpose")
"""Columns in which an empty cell leaves a known question as it is; in other columns an empty cell removes the
value."""
TRUE_WORDS = frozenset(
    [
        "对",
        "√",
        "✓",
        "✔",
        "☑",
        "正确",
        "是",
        "T",
        "TRUE",
        "Y",
        "YES",
    ]
)
FALSE_WORDS = frozenset(
    [
        "错",
        "×",
        "✗",
        "✘",
        "☒",
        "X",
        "错误",
        "否",
        "F",
        "FALSE",
        "N",
        "NO",
    ]
)
MAX_LENGTH, MAX_WORD_LENGTH = 20_000, 200
PICTURE_REMEDY = "题目需要图片的，请用Word模板导入，或导入后在题目中添加；不需要的请删去图片。"
LINKED_FILE_REMEDY = "图片请用Word模板导入或导入后在题目编辑页插入；其余的请取消单元格的链接。"

_BETWEEN_ANSWERS = re.compile(r"[\s,;./|+&()\[\]\u3001\u3002\u3010\u3011和与及]+")


@dataclass(frozen=True)
class _TypedContent:
    """What depends on the type of a question: the type itself, its options (letter, text), and the key."""

    question_type: QuestionType
    options: list[Option]
    answer: str


def validate_row(
    row: ImportRow,
) -> tuple[ParsedQuestion, list[RowWarning]]:
    """Return the question of a row, and its warnings (column's heading, reason, remedy), such as about a key
    that was removed from its texts. Whether its pictures exist, and a question of 业务水平 has a category, is
    not checked here. Raises InvalidQuestionRow for the first problem."""
    warnings: list[RowWarning] = []
    _require_readable(row)
    stem = _to_markup("题干", cell_text(row, "stem"))
    if not stem:
        raise InvalidQuestionRow("题干", "题干未填写", "请填写题干。")
    content = _parse_typed_content(row, warnings)
    case_stem = _to_markup("共用题干", cell_text(row, "case_stem"))
    _require_fitting_type(content, case_stem)
    stem, options = _remove_visible_key(stem, content, warnings)
    _warn_of_equal_options(options, warnings)
    question = ParsedQuestion(
        kind=content.question_type.code,
        group=cell_text(row, "group"),
        case_stem=case_stem,
        stem=stem,
        options=tuple(options),
        answer=content.answer,
        explanation=_to_markup("解析", cell_text(row, "explanation")),
        subject=_parse_choice(row, "subject", SUBJECTS, "professional"),
        category=_parse_category(row),
        difficulty=_parse_choice(row, "difficulty", DIFFICULTIES, "medium"),
        purpose=_parse_choice(row, "purpose", QUESTION_PURPOSES, "exam"),
        topic=cell_text(row, "topic"),
        provided_columns=_provided_columns(row),
    )
    _require_fitting_lengths(question)
    return question, warnings


def _warn_of_equal_options(options: list[Option], warnings: list[RowWarning]) -> None:
    """Add a warning to `warnings` if two options have the same text."""
    texts = {text for _, text in options}
    if len(texts) != len(options):
        warnings.append(("选项", "有内容相同的选项", "已导入，请核对选项。"))


def parse_type(row: ImportRow) -> str:
    """The code of the type that a row names; "" if it names none. Raises InvalidQuestionRow for an unknown
    type."""
    code = parse_type_word(cell_text(row, "kind"))
    if code and code not in QUESTION_TYPES:
        known_codes = "、".join(QUESTION_TYPES)
        raise InvalidQuestionRow(
            "题型",
            f"不认识的题型“{row.text('kind')[:20]}”",
            f"请填写{known_codes}之一。",
        )
    return code


def _require_readable(row: ImportRow) -> None:
    """Raise InvalidQuestionRow if the file's reader refused the row, a cell can't be read, or the row has
    pictures or links to files."""
    if "refused" in row.cells:
        raise InvalidQuestionRow(*row.cells["refused"])
    for column, problem in row.problems.items():
        raise InvalidQuestionRow(COLUMNS[column][0], problem.reason, problem.remedy)
    if row.picture_columns:
        raise InvalidQuestionRow("图片", "这一行上有图片或图形，没有读取", PICTURE_REMEDY)
    for address in row.links:
        _require_no_file(address)


def _require_no_file(address: str) -> None:
    """Raise InvalidQuestionRow for a link to a picture or another file that a question can't show."""
    if unsupported_content.linked_file_kind(address):
        reason = f"单元格有指向图片、音频或视频的链接“{address[-40:]}”，题目里放不了"
        raise InvalidQuestionRow("链接", reason, LINKED_FILE_REMEDY)


def _parse_typed_content(row: ImportRow, warnings: list[RowWarning]) -> _TypedContent:
    """Type, options and key of a row; if it names no type, the type that options and key imply. Warnings are
    added to `warnings`. Raises InvalidQuestionRow."""
    code = parse_type(row)
    options = [(letter, _to_markup("选项", text)) for letter, text in parse_options(row, warnings)]
    if is_true_false(code) or _is_untyped_statement(row, code, options):
        return _parse_statement(row, code, options)
    return _parse_choices(row, code, options)


def _is_untyped_statement(row: ImportRow, code: str, options: list[Option]) -> bool:
    """Whether a row without type and options is a statement, judging by its key."""
    return not code and not options and _is_true_false_answer(row)


def _parse_statement(row: ImportRow, code: str, options: list[Option]) -> _TypedContent:
    """Type, options and key of a statement that is true or false; `code`: its type, "" if none is named. Its
    own options are only read for the key: the type's take their place. Raises InvalidQuestionRow."""
    question_type = QUESTION_TYPES[code] if code else TRUE_FALSE
    answer = _parse_true_false_answer(row, options)
    return _TypedContent(question_type, list(question_type.own_options), answer)


def _parse_choices(row: ImportRow, code: str, options: list[Option]) -> _TypedContent:
    """Type, options and key of a question with options; `code`: its type, "" if none is named. Raises
    InvalidQuestionRow."""
    letters = _option_letters(options)
    _require_valid_letters(letters)
    answer = _parse_answer(row, letters)
    question_type = QUESTION_TYPES[code] if code else _type_of_answer(answer)
    return _TypedContent(question_type, options, answer)


def _type_of_answer(answer: str) -> QuestionType:
    """The type that a key implies: that with several right answers, or with one."""
    return MULTIPLE_CHOICE if len(answer) > 1 else SINGLE_CHOICE


def _option_letters(options: list[Option]) -> list[str]:
    """The letters of options."""
    return [letter for letter, _ in options]


def _require_valid_letters(letters: list[str]) -> None:
    """Raise InvalidQuestionRow if there are fewer than two options, or two have the same letter."""
    if len(letters) < 2:
        remedy = "请至少填写两个选项，如“A 甲\\nB 乙”，或用模板每列一个选项。"
        raise InvalidQuestionRow("选项", "选项少于两个", remedy)
    if len(set(letters)) != len(letters):
        raise InvalidQuestionRow("选项", "选项字母重复", "请让每个选项使用不同的字母。")


def _require_fitting_type(content: _TypedContent, case_stem: str) -> None:
    """Raise InvalidQuestionRow for several right answers if the type has one, and for a missing case if the
    type needs one."""
    _require_fitting_answer(content.question_type, content.answer)
    _require_case(content.question_type, case_stem)


def _require_fitting_answer(question_type: QuestionType, answer: str) -> None:
    """Raise InvalidQuestionRow for several right answers if the type has one."""
    if len(answer) > 1 and not question_type.is_multiple:
        remedy = f"请更正答案，或把题型改为{MULTIPLE_CHOICE.code}。"
        raise InvalidQuestionRow("答案", f"{question_type.name}只能有一个答案", remedy)


def _require_case(question_type: QuestionType, case_stem: str) -> None:
    """Raise InvalidQuestionRow for a missing case if the type needs one."""
    if question_type.shares is SharedContent.CASE and not case_stem:
        remedy = "请在该组第一题填写共用题干，同组各题填写相同的组号。"
        raise InvalidQuestionRow("共用题干", f"{question_type.name}没有共用题干", remedy)


def _require_fitting_lengths(question: ParsedQuestion) -> None:
    """Raise InvalidQuestionRow for a text that is too long; the options count together."""
    limits = (
        ("题干", question.stem, MAX_LENGTH),
        ("共用题干", question.case_stem, MAX_LENGTH),
        ("选项", "".join(question.option_texts()), MAX_LENGTH),
        ("解析", question.explanation, MAX_LENGTH),
        ("组号", question.group, MAX_WORD_LENGTH),
        ("考点", question.topic, MAX_WORD_LENGTH),
    )
    for heading, text, max_length in limits:
        if len(text) > max_length:
            raise InvalidQuestionRow(
                heading,
                f"{heading}超过{max_length}字",
                "请缩短，或分成几题。",
            )


def _provided_columns(row: ImportRow) -> frozenset[str]:
    """The columns about which the row says something (see `ParsedQuestion`)."""
    return frozenset(column for column in row.cells if _is_provided(row, column))


def _is_provided(row: ImportRow, column: str) -> bool:
    """Whether a cell says something about a question; in most columns an empty one does, too."""
    return column not in UNCHANGED_WHEN_EMPTY or bool(cell_text(row, column))


def _to_markup(heading: str, text: str) -> str:
    """A cell's text in our markup. Raises InvalidQuestionRow if our markup can't express it; `heading`: the
    column's."""
    try:
        return text_checks.convert_markup(text)
    except text_checks.UnreadableText as unreadable:
        raise InvalidQuestionRow(heading, *unreadable.messages) from unreadable


def _remove_visible_key(
    stem: str, content: _TypedContent, warnings: list[RowWarning]
) -> tuple[str, list[Option]]:
    """Stem and options without what would show the key to doctors; warnings are added to `warnings`. Raises
    InvalidQuestionRow."""
    _refuse_visible_key("题干", stem)
    for _, text in content.options:
        _refuse_visible_key("选项", text)
    stem = _remove_key_from_stem(stem, content, warnings)
    return stem, _remove_key_from_options(content, warnings)


def _remove_key_from_stem(stem: str, content: _TypedContent, warnings: list[RowWarning]) -> str:
    """The stem without the key in it; warnings are added to `warnings`. Raises InvalidQuestionRow."""
    try:
        stem, messages = text_checks.remove_key_from_stem(stem, content.answer, content.question_type.code)
    except text_checks.UnreadableText as unreadable:
        raise InvalidQuestionRow("题干", *unreadable.messages) from unreadable
    warnings += [("题干", *message) for message in messages]
    return stem


def _remove_key_from_options(content: _TypedContent, warnings: list[RowWarning]) -> list[Option]:
    """The options without marks of the right ones, unless other questions share them; warnings are added to
    `warnings`."""
    question_type = content.question_type
    if question_type.is_true_false or question_type.shares is SharedContent.OPTIONS:
        return content.options
    options, messages = text_checks.remove_key_from_options(content.options, content.answer)
    warnings += [("选项", *message) for message in messages]
    return options


def _refuse_visible_key(heading: str, text: str) -> None:
    """Raise InvalidQuestionRow if the text has a key with its label."""
    try:
        text_checks.refuse_visible_key(text)
    except text_checks.UnreadableText as unreadable:
        raise InvalidQuestionRow(heading, *unreadable.messages) from unreadable


def _is_true_false_answer(row: ImportRow) -> bool:
    """Whether the row's key is a word or sign for true or false."""
    return normalise_text(cell_text(row, "answer")) in TRUE_WORDS | FALSE_WORDS


def _parse_true_false_answer(row: ImportRow, options: list[Option]) -> str:
    """The key of a statement (the letter for true or for false) from a word or sign, or from the letter of an
    option that is one. Raises InvalidQuestionRow."""
    _require_two_options(options)
    word = _true_false_word(row, options)
    if word not in TRUE_WORDS | FALSE_WORDS:
        reason = f"判断题的答案“{row.text('answer')[:20]}”无法识别"
        raise InvalidQuestionRow(
            "答案",
            reason,
            "请填写“正确”或“错误”（也可填√、×、对、错、T、F）。",
        )
    (true_letter, _), (false_letter, _) = TRUE_FALSE.own_options
    return true_letter if word in TRUE_WORDS else false_letter


def _require_two_options(options: list[Option]) -> None:
    """Raise InvalidQuestionRow for a statement with another number of options than two."""
    if options and len(options) != len(TRUE_FALSE.own_options):
        remedy = "请把选项留空，答案填写“正确”或“错误”。"
        raise InvalidQuestionRow("选项", "判断题只有“正确”和“错误”两个选项", remedy)


def _true_false_word(row: ImportRow, options: list[Option]) -> str:
    """The word or sign of a statement's key; if the key is a letter, that option's text."""
    answer = normalise_text(cell_text(row, "answer"))
    texts_by_letter = dict(options or TRUE_FALSE.own_options)
    return normalise_text(texts_by_letter.get(answer, answer))


def _parse_answer(row: ImportRow, letters: list[str]) -> str:
    """The key of a row: letters of its options, in order and without duplicates. Raises
    InvalidQuestionRow."""
    answer = _BETWEEN_ANSWERS.sub("", normalise_text(cell_text(row, "answer")))
    if not answer:
        raise InvalidQuestionRow("答案", "答案未填写", "请填写正确选项的字母。")
    if not set(answer) <= set(letters):
        reason = f"答案“{row.text('answer')[:20]}”不是任何一个选项"
        raise InvalidQuestionRow("答案", reason, f"请填写{''.join(letters)}中的字母。")
    return "".join(sorted(set(answer)))


def _parse_choice(
    row: ImportRow,
    column: str,
    labels: dict[str, str],
    default: str,
) -> str:
    """The code that a cell names by its label (`labels`: code → label) or by the code itself, in any case;
    `default` if the cell is empty. Raises InvalidQuestionRow."""
    text = normalise_text(cell_text(row, column))
    if not text:
        return default
    for code, label in labels.items():
        if text in (label, code.upper()):
            return code
    heading = COLUMNS[column][0]
    raise InvalidQuestionRow(
        heading,
        f"不认识的{heading}“{text[:20]}”",
        f"请填写{'、'.join(labels.values())}之一。",
    )


def _parse_category(row: ImportRow) -> str | None:
    """The code of the 执业类别 in a row; None if it names none. Raises InvalidQuestionRow."""
    text = cell_text(row, "category")
    if not text:
        return None
    code = code_for("category", text)
    if code is None:
        remedy = "请填写临床、口腔、公共卫生、中医之一；公共知识可留空。"
        raise InvalidQuestionRow("执业类别", f"不认识的执业类别“{text[:20]}”", remedy)
    return code
