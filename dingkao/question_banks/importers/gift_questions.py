"""A GIFT question parsed into cells: ::title:: [format] text { answers } text.

In the answers = begins a right choice and ~ a wrong one, %50% gives a choice a weight, # begins the feedback
on a choice, and #### that on the whole question.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NoReturn

from dingkao.question_banks.importers import labels
from dingkao.question_banks.importers.gift_text import (
    InvalidQuestion,
    TextConverter,
    TextWithoutAnswers,
    hide_escaped,
    parse_format,
    unescape,
)
from dingkao.question_banks.importers.numerals import (
    ParsedNumber,
    leading_number,
)
from dingkao.question_banks.question_types import (
    OPTION_LETTERS,
    OPTIONS_TYPE,
    TRUE_FALSE,
)

BLANK_MARKER = "____"
SECOND_QUESTION_MESSAGE = (
    "题干里像是还有一道题（题号、选项或答案）",
    "请在两题之间空一行，每题各有自己的答案区“{}”；GIFT的题干里不要写选项和答案。",
)
_WEIGHT = re.compile(r"%(-?[0-9]+(?:[.,][0-9]+)?)%")
_ANSWER_BY_VERDICT = {
    "T": "正确",
    "TRUE": "正确",
    "F": "错误",
    "FALSE": "错误",
}


@dataclass(frozen=True)
class GiftQuestion:
    """A parsed question: its title (or its stem if it has none), its cells by column name (stem, answer,
    explanation if there is one; kind for a statement, else option_A and so on), and its warnings (reason,
    remedy)."""

    title: str
    cells: dict[str, Any]
    warnings: list[tuple[str, str]]


@dataclass(frozen=True)
class _Choice:
    """One of a question's choices. `letter`: given in order, from A; `is_marked_right`: it begins with =;
    `weight`: in percent, 0 if none is written."""

    letter: str
    text: str
    is_marked_right: bool
    weight: float
    feedback: str

    def has_partial_weight(self) -> bool:
        """Whether the choice is not marked as right but earns points."""
        return not self.is_marked_right and self.weight > 0

    def note(self) -> str:
        """The feedback after the choice's letter, «A：…»; "" if there is none."""
        return f"{self.letter}：{self.feedback}" if self.feedback else ""


def parse_question(text: str, converter: TextConverter, *, is_ours: bool) -> GiftQuestion:
    """Parse a question's text, which has no white space around it, no category and no comments. `is_ours`:
    our own comment is above it, so that its stem isn't searched for a second question. Pictures are stored,
    also of a question that is refused then. Raises InvalidQuestion, and what storing a picture raises besides
    InvalidInput and TooLarge."""
    title, text = _split_title(hide_escaped(text))
    head, answers, tail = _split_answers(text)
    format_name, head = parse_format(head)
    stem = converter.convert(
        f"{head}{BLANK_MARKER}{tail}" if tail.strip() else head,
        format_name,
    )
    if not stem:
        raise InvalidQuestion("没有题干", "请在答案区“{”之前填写题干。")
    if not is_ours:
        _refuse_second_question(stem, tail)
    warnings: list[tuple[str, str]] = []
    cells = {"stem": stem} | _parse_answers(answers, format_name, converter, warnings)
    return GiftQuestion(title or stem, cells, warnings)


def _split_title(text: str) -> tuple[str, str]:
    """The title of a question ("" if it has none), and the text after it. Escaped characters are hidden in
    `text` (`hide_escaped`) and in the text returned, but not in the title. Raises InvalidQuestion if the
    title has no end."""
    title = ""
    if text.startswith("::"):
        title, end, text = text[2:].partition("::")
        if not end:
            raise InvalidQuestion(
                "标题没有结束",
                "标题应写成“::标题::”，标题里的冒号请写成“\\:”。",
            )
    return unescape(title).strip(), text.strip()


def _split_answers(text: str) -> tuple[str, str, str]:
    """The text before the answers, the answers between the braces, and the text after them (escaped
    characters hidden). Raises InvalidQuestion, of which TextWithoutAnswers if there are no braces."""
    head, opening, remaining = text.partition("{")
    if not opening:
        _refuse_without_answers(text)
    answers, closing, tail = remaining.partition("}")
    if not closing:
        raise InvalidQuestion(
            "答案区没有结束，缺少“}”",
            "请补上“}”；题目内不要有空行，题目文字中的大括号请写成“\\{”和“\\}”。",
        )
    if re.search("[{}]", answers + tail):
        raise InvalidQuestion(
            "一个题目中有多个答案区，或大括号不成对",
            "两题之间请空一行；题目文字中的大括号请写成“\\{”和“\\}”。",
        )
    return head, answers, tail


def _refuse_without_answers(text: str) -> NoReturn:
    """Raise InvalidQuestion for a text without answers that has a closing brace, else TextWithoutAnswers."""
    if "}" in text:
        raise InvalidQuestion(
            "多余的“}”",
            "请检查大括号是否成对；题目文字中的大括号请写成“\\{”和“\\}”。",
        )
    raise TextWithoutAnswers(unescape(text))


def _refuse_second_question(stem: str, tail: str) -> None:
    """Raise InvalidQuestion if stem or `tail` (the text after the answers) holds a second question, because
    no blank line separates the two."""
    first_line, *later_lines = filter(str.strip, stem.split("\n"))
    first_number = leading_number(first_line)
    is_second_in_stem = any(_may_be_second_question(line, first_number) for line in later_lines)
    if is_second_in_stem or any(map(_begins_question, tail.split("\n")[1:])):
        raise InvalidQuestion(*SECOND_QUESTION_MESSAGE)


def _begins_question(line: str) -> bool:
    """Whether a line after the answers begins with a number or a title."""
    return bool(leading_number(line)) or line.lstrip().startswith("::")


def _may_be_second_question(line: str, first_number: ParsedNumber | None) -> bool:
    """Whether a line of a stem belongs to another question: its number follows the stem's number, or it has a
    key or options."""
    if _counts_on(first_number, leading_number(line)) or line.startswith("A."):
        return True
    return any(map(_is_part_of_question, labels.split_line(line)))


def _counts_on(first: ParsedNumber | None, second: ParsedNumber | None) -> bool:
    """Whether the second number is the first one plus 1, in the same form."""
    if not first or not second or second.form != first.form:
        return False
    return second.value == first.value + 1


def _is_part_of_question(part: labels.LinePart) -> bool:
    """Whether a part of a line is a key, an explanation, or several options beginning with A."""
    if part.column in ("answer", "explanation"):
        return True
    return len(part.options) > 1 and part.options[0][0] == "A"


def _parse_answers(
    answers: str,
    format_name: str,
    converter: TextConverter,
    warnings: list[tuple[str, str]],
) -> dict[str, Any]:
    """The answers between the braces (escaped characters hidden) as cells; warnings are added to `warnings`.
    Raises InvalidQuestion."""
    answers, _, general = answers.partition("####")
    answers = answers.strip()
    explanation = converter.convert_part(general, format_name)
    _refuse_open_question(answers)
    verdict, *feedback = answers.split("#")
    if answer := _ANSWER_BY_VERDICT.get(verdict.strip().upper()):
        notes = [converter.convert_part(note, format_name) for note in feedback]
        return {
            "kind": TRUE_FALSE.code,
            "answer": answer,
        } | _explanation_cell(explanation, notes)
    _refuse_other_types(answers)
    return _parse_choices(answers, format_name, explanation, converter, warnings)


def _refuse_open_question(answers: str) -> None:
    """Raise InvalidQuestion for questions whose answer is written or numeric, not chosen."""
    if not answers:
        raise InvalidQuestion(
            "是问答题（答案区为空）",
            "定考只用客观题，请改为选择题或判断题。",
        )
    if answers.startswith("#"):
        raise InvalidQuestion("是数值题", "请改为选择题，把数值写成选项。")


def _refuse_other_types(answers: str) -> None:
    """Raise InvalidQuestion for answers (not empty, no white space around them) that are not choices:
    matching, short answer, or unreadable."""
    if answers[0] not in "=~":
        raise InvalidQuestion(
            "答案区的写法无法识别",
            "选项应以“=”（正确）或“~”（错误）开头；判断题写成{T}或{F}。",
        )
    if "~" in answers:
        return
    if "->" in answers:
        raise InvalidQuestion(
            "是匹配题",
            f"请改用{OPTIONS_TYPE.name}（共用备选答案）的模板。",
        )
    raise InvalidQuestion(
        "是填空（简答）题，只有正确答案没有其他选项",
        "请补充以“~”开头的错误选项，改为选择题。",
    )


def _parse_choices(
    answers: str,
    format_name: str,
    explanation: str,
    converter: TextConverter,
    warnings: list[tuple[str, str]],
) -> dict[str, Any]:
    """The choices as cells; warnings are added to `warnings`. `answers`: what is between the braces, escaped
    characters hidden, without the feedback on the whole question; `explanation`: that feedback, which
    replaces those on choices. Raises InvalidQuestion."""
    pieces = re.findall(r"([=~])([^=~]*)", answers)
    if len(pieces) > len(OPTION_LETTERS):
        raise InvalidQuestion(
            f"选项超过{len(OPTION_LETTERS)}个",
            f"请把选项减到{len(OPTION_LETTERS)}个以内。",
        )
    choices = [
        _parse_choice(letter, sign, piece.strip(), format_name, converter)
        for letter, (sign, piece) in zip(OPTION_LETTERS, pieces, strict=False)
    ]
    cells: dict[str, Any] = {f"option_{choice.letter}": choice.text for choice in choices}
    cells["answer"] = _right_letters(choices, warnings)
    return cells | _explanation_cell(explanation, map(_Choice.note, choices))


def _parse_choice(
    letter: str,
    sign: str,
    piece: str,
    format_name: str,
    converter: TextConverter,
) -> _Choice:
    """Parse one choice; `sign` is = or ~, `piece` what follows it. Raises InvalidQuestion."""
    weight, piece = _split_weight(piece)
    option, _, feedback = piece.partition("#")
    text = converter.convert_part(option, format_name)
    if not text:
        raise InvalidQuestion(
            f"选项{letter}没有文字",
            "请填写选项，或删除多余的“=”“~”。",
        )
    if "\n" in option.strip() and parse_format(option, format_name)[0] != "html":
        raise InvalidQuestion(
            f"选项{letter}写了几行，可能有选项漏了“=”或“~”",
            "请让每个选项以“=”或“~”开头，选项内要换行的请写“\\n”。",
        )
    return _Choice(
        letter,
        text,
        sign == "=",
        weight,
        converter.convert_part(feedback, format_name),
    )


def _split_weight(piece: str) -> tuple[float, str]:
    """The weight of a choice in percent (0 if none is written), and the text after it."""
    weight = _WEIGHT.match(piece)
    if weight is None:
        return 0.0, piece
    return float(weight[1].replace(",", ".")), piece[weight.end() :]


def _right_letters(choices: Sequence[_Choice], warnings: list[tuple[str, str]]) -> str:
    """The letters of the right choices: those marked with =, or, if there are none, those with a positive
    weight. If there are both, a warning is added to `warnings`. Raises InvalidQuestion."""
    marked = _join_letters(filter(attrgetter("is_marked_right"), choices))
    weighted = _join_letters(filter(_Choice.has_partial_weight, choices))
    _require_right_choice(marked, weighted)
    if marked and weighted:
        warnings.append(("有给部分分的选项", "已按错误选项导入，请核对。"))
    return marked or weighted


def _join_letters(choices: Iterable[_Choice]) -> str:
    """The letters of the choices, joined."""
    return "".join(choice.letter for choice in choices)


def _require_right_choice(marked: str, weighted: str) -> None:
    """Raise InvalidQuestion for a question without a right choice, or with several marked with =. `marked`,
    `weighted`: the letters of the choices marked with =, and of the others with a positive weight."""
    if not marked and not weighted:
        raise InvalidQuestion(
            "没有正确答案",
            "请用“=”标出正确选项，多选题用“~%50%”这样的正分标出每个正确选项。",
        )
    if len(marked) > 1:
        raise InvalidQuestion(
            "单选题有几个正确答案",
            "多选题请把每个正确选项写成“~%50%选项”这样的正分，各项之和为100。",
        )


def _explanation_cell(explanation: str, notes: Iterable[str]) -> dict[str, str]:
    """The cell "explanation": the feedback on the whole question, or else the notes on its choices; {} if
    both are empty."""
    text = explanation or "\n".join(filter(None, notes))
    return {"explanation": text} if text else {}
