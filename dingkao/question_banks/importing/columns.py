"""The columns of question files: the headings by which they are found, and those of our template.

A spreadsheet has all options in one cell (common) or a column for each option (our template). What a group
shares, the case of A3 and A4 or the options of B1, is often only in its first row, in cells merged downwards.
"""

from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks.question_types import OPTION_LETTERS

OPTION_COLUMNS = tuple(f"option_{letter}" for letter in OPTION_LETTERS)


def _option_headings(letter: str, number: int) -> tuple[str, ...]:
    """The headings of the column for an option; `number`: the letter's place in the alphabet, from 1."""
    return (
        f"选项{letter}",
        letter,
        f"{letter}选项",
        f"选项({letter})",
        f"备选答案{letter}",
        f"选项{number}",
    )


COLUMNS = {
    "kind": ("题型", "Type"),
    "group": ("组号", "题组"),
    "case_stem": ("共用题干", "病例"),
    "stem": ("题干", "题目", "试题", "试题内容", "Question"),
    "options": ("选项", "选项内容", "备选答案", "Options"),
    **{
        f"option_{letter}": _option_headings(letter, number)
        for number, letter in enumerate(OPTION_LETTERS, 1)
    },
    "answer": ("答案", "正确答案", "标准答案", "参考答案", "Answer"),
    "explanation": ("解析", "答案解析", "Explanation"),
    "subject": ("科目", "Subject"),
    "category": ("执业类别", "类别"),
    "topic": ("考点", "章节", "知识点", "Topic"),
    "difficulty": ("难度",),
    "purpose": ("用途",),
}
"""Column → the headings by which it is found; the first one is our own."""
REQUIRED_COLUMNS = ("stem", "answer")
RICH_TEXT_COLUMNS = (
    "case_stem",
    "stem",
    "options",
    *OPTION_COLUMNS,
    "explanation",
)
"""Columns whose text may have sub- and superscript."""
TEMPLATE = (
    "题型",
    "组号",
    "共用题干",
    "题干",
    "选项A",
    "选项B",
    "选项C",
    "选项D",
    "选项E",
    "答案",
    "解析",
    "科目",
    "执业类别",
    "考点",
    "难度",
    "用途",
)
"""The headings of our template, in order."""
QUESTION_FIELDS = (
    "kind",
    "subject",
    "category",
    "topic",
    "difficulty",
    "purpose",
)
"""Columns of a file that are columns of the question itself; the other ones are in its versions."""


def cell_text(row: ImportRow, column: str) -> str:
    """A cell's text, "" for a missing one. `nan`, which programs write into empty cells, counts as empty; a
    boolean is TRUE or FALSE, as the spreadsheet shows it."""
    value = row.cells.get(column, "")
    text = str(value).upper() if isinstance(value, bool) else row.text(column)
    return "" if text.lower() == "nan" else text
