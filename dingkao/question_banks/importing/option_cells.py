"""The options of a question in a spreadsheet: in a column for each, or all in one cell, separated by line
breaks or by their letters."""

import re
from itertools import chain
from string import ascii_uppercase

from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.question_banks.importing.columns import cell_text
from dingkao.question_banks.importing.parsed_question import (
    InvalidQuestionRow,
    RowWarning,
)
from dingkao.question_banks.question_types import (
    ANY_WIDTH_LETTERS,
    OPTION_LETTERS,
)
from dingkao.tenants.encryption import normalise_text

Option = tuple[str, str]
"""An option's letter and text."""

_LATIN = "A-Za-z\uff21-\uff3a\uff41-\uff5a"
_LETTER_MARKS = ".\uff0e\u3001,\uff0c:\uff1a)\uff09\u3002"
_OPEN, _CLOSE = "(\\[\uff08\uff3b\u3010", ")\\]\uff09\uff3d\u3011"
# what follows letter and space is the option itself, so that 「A .5」 is .5, unless a space follows the mark,
# too
_OPTION = re.compile(
    rf"(?:[{_OPEN}]\s*([{ANY_WIDTH_LETTERS}])\s*[{_CLOSE}][{_LETTER_MARKS}]?"
    rf"|([{ANY_WIDTH_LETTERS}])"
    rf"(?:[{_LETTER_MARKS}]|\s+[{_LETTER_MARKS}](?=\s)|(?=\s|$)|(?![{_LATIN}])))\s*(.*)",
    re.DOTALL,
)
_NEXT_OPTION = re.compile(
    rf"(?:^|[\s;\uff1b|]+)(?=[{_OPEN}]?([{ANY_WIDTH_LETTERS}])[{_LETTER_MARKS}{_CLOSE}])"
)
_NO_OPTION = re.compile(rf"[{ascii_uppercase[len(OPTION_LETTERS) :]}](?:\s|[.\uff0e\u3001])")
_BREAKS = re.compile(r"(?:\\r)?\\n|\n|<br\s*/?>", re.IGNORECASE)
_OWN_LETTER = re.compile(
    rf"(?:[{_OPEN}]([{ANY_WIDTH_LETTERS}])[{_CLOSE}][{_LETTER_MARKS}]?"
    rf"|([{ANY_WIDTH_LETTERS}])[{_LETTER_MARKS}])\s*(?=\S)"
)


def parse_options(row: ImportRow, warnings: list[RowWarning]) -> list[Option]:
    """The options of a row, from their columns or, if these are empty, from the one cell; none if that is
    empty, too. Letters may repeat or be left out; warnings are added to `warnings`. Raises
    InvalidQuestionRow."""
    option_columns = _options_in_columns(row)
    if option_columns:
        return _strip_option_letters(option_columns)
    options: list[Option] = []
    for piece in _split_option_cell(cell_text(row, "options")):
        _add_piece(options, piece, warnings)
    return options


def _add_piece(options: list[Option], piece: str, warnings: list[RowWarning]) -> None:
    """Add a piece of a cell to `options`: as a further option, or, with a warning added to `warnings`, as
    more text of the last one. Raises InvalidQuestionRow for a letter without text, and for a piece without
    letter if there is no option yet, or if it has a letter beyond J."""
    option_match = _OPTION.fullmatch(piece)
    if option_match is None:
        _continue_last_option(options, piece, warnings)
    elif option_match[3]:
        options.append((_matched_letter(option_match), option_match[3].strip()))
    else:
        raise _unrecognised_option(piece)


def _continue_last_option(options: list[Option], piece: str, warnings: list[RowWarning]) -> None:
    """Add a piece without a letter to the last option, with a warning. Raises InvalidQuestionRow if there is
    no option yet, or the piece has a letter beyond J."""
    if not options or _NO_OPTION.match(piece):
        raise _unrecognised_option(piece)
    letter, text = options[-1]
    options[-1] = (letter, f"{text}\n{piece}")
    warnings.append(
        (
            "选项",
            f"“{piece[:20]}”不是以选项字母开头",
            f"已并入选项{letter}，请核对。",
        )
    )


def _unrecognised_option(piece: str) -> InvalidQuestionRow:
    """The InvalidQuestionRow, to be raised, for a piece that is not an option."""
    return InvalidQuestionRow(
        "选项",
        f"无法识别的选项“{piece[:20]}”",
        "每个选项请以字母开头，如“A 甲”。",
    )


def _options_in_columns(row: ImportRow) -> list[Option]:
    """The options in the columns for each letter, in the order of letters, without empty ones."""
    texts = ((letter, cell_text(row, f"option_{letter}")) for letter in OPTION_LETTERS)
    return [(letter, text) for letter, text in texts if text]


def _matched_letter(option_match: re.Match[str]) -> str:
    """The letter of an option matched by _OPTION or _OWN_LETTER, in brackets or not, as in OPTION_LETTERS."""
    return normalise_text(option_match[1] or option_match[2])


def _strip_option_letters(options: list[Option]) -> list[Option]:
    """The options without the letters in their texts («A.甲» in column A becomes 甲), but only if every text
    begins with its letter: a single one may be a word such as C.diff."""
    stripped: list[Option] = []
    for letter, text in options:
        letter_match = _OWN_LETTER.match(text)
        if letter_match is None or _matched_letter(letter_match) != letter:
            return options
        stripped.append((letter, text[letter_match.end() :]))
    return stripped


def _split_option_cell(text: str) -> list[str]:
    """The options of one cell: its lines; if several options are on a line, split before their letters,
    provided that all letters then follow one another."""
    lines = _filled_lines(text)
    pieces = list(chain.from_iterable(map(_split_option_line, lines)))
    if len(pieces) == len(lines) or not _letters_run_on(pieces):
        return lines
    return pieces


def _filled_lines(text: str) -> list[str]:
    """The lines of a cell that aren't blank, without spaces at their ends."""
    return [line.strip() for line in _BREAKS.split(text) if line.strip()]


def _letters_run_on(pieces: list[str]) -> bool:
    """Whether the pieces of a cell are options whose letters follow one another, from any letter on; not
    without pieces."""
    letters = "".join(map(_option_letter, pieces))
    return letters != "" and letters in OPTION_LETTERS


def _option_letter(piece: str) -> str:
    """The letter of the option that a piece of a cell is, as in OPTION_LETTERS, also of «a.» or «（Ａ）», and
    where no text follows; "?" if it is none."""
    option_match = _OPTION.fullmatch(piece)
    return _matched_letter(option_match) if option_match else "?"


def _split_option_line(line: str) -> list[str]:
    """A line split before its first letter and each that follows the previous one in the alphabet, without
    the blanks and separators between the pieces; the whole line if it has no letter, or text before the
    first."""
    starts = _option_starts(line)
    if not starts or line[: starts[0]].strip():
        return [line]
    ends = [*starts[1:], len(line)]
    return [line[start:end].strip(" \t;\uff1b|") for start, end in zip(starts, ends, strict=True)]


def _option_starts(line: str) -> list[int]:
    """The positions in a line, rising, at which its options begin (at the letter or its bracket): at the
    first letter, and at each that follows the previous one in the alphabet."""
    starts: list[int] = []
    letter = ""
    for next_option in _NEXT_OPTION.finditer(line):
        next_letter = normalise_text(next_option[1])
        if not letter or next_letter == chr(ord(letter) + 1):
            letter = next_letter
            starts.append(next_option.end())
    return starts
