"""Lettered options and labels (答案, 解析, 考点 …) in a line, at its beginning or after other words."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dingkao.question_banks.importers.numerals import fold_characters
from dingkao.question_banks.question_types import (
    ANY_CASE_LETTERS,
    OPTION_LETTERS,
)

COLUMN_BY_LABEL = {
    "答案": "answer",
    "正确答案": "answer",
    "参考答案": "answer",
    "标准答案": "answer",
    "本题答案": "answer",
    "试题答案": "answer",
    "题目答案": "answer",
    "正确选项": "answer",
    "答": "answer",
    "ANSWER": "answer",
    "KEY": "answer",
    "解析": "explanation",
    "答案解析": "explanation",
    "试题解析": "explanation",
    "题目解析": "explanation",
    "本题解析": "explanation",
    "参考解析": "explanation",
    "考点解析": "explanation",
    "解析说明": "explanation",
    "答案与解析": "explanation",
    "详解": "explanation",
    "答案详解": "explanation",
    "试题详解": "explanation",
    "题解": "explanation",
    "解释": "explanation",
    "答案解释": "explanation",
    "答案说明": "explanation",
    "解答": "explanation",
    "分析": "explanation",
    "试题分析": "explanation",
    "解题思路": "explanation",
    "解题分析": "explanation",
    "EXPLANATION": "explanation",
    "题型": "kind",
    "科目": "subject",
    "执业类别": "category",
    "类别": "category",
    "考点": "topic",
    "知识点": "topic",
    "章节": "topic",
    "考核点": "topic",
    "难度": "difficulty",
    "难易度": "difficulty",
    "难易程度": "difficulty",
    "用途": "purpose",
    "选项": "options",
    "备选答案": "options",
    "备选项": "options",
    "答案选项": "options",
}
"""Label → our column that it means."""
EXPLANATION_LABELS = frozenset(
    {
        "分析",
        "试题分析",
        "解题思路",
        "解题分析",
        "解答",
        "解释",
        "EXPLANATION",
    }
)
"""Labels that may also occur within an explanation."""
IGNORED_LABELS = frozenset(
    (
        "分值",
        "分数",
        "本题分值",
        "得分",
        "出处",
        "来源",
        "题目来源",
        "教材",
        "页码",
        "教材页码",
        "参考文献",
        "大纲",
        "认知层次",
        "认知",
        "编号",
        "题目编号",
        "命题人",
        "审题人",
        "作者",
        "审核人",
        "单位",
        "关键词",
        "关键字",
        "更新时间",
        "年份",
        "学科",
        "专业",
    )
)
"""Labels that people write and for which we have no column."""
TRUE_FALSE_WORDS = "正确|错误|对|错|√|×|✓|✔|✗|✘|T|F|TRUE|FALSE|是|否"


@dataclass(frozen=True)
class LinePart:
    """A part of a line: a label with its `name` (in capitals, without spaces), its `column` ("unused" for a
    label for which we have none) and the text after it; or `options`, (letter, text) each, `is_doubtful` if
    the text of one may hold another option, `text` being all of them as written; or only a text."""

    text: str
    name: str = ""
    column: str = ""
    options: tuple[tuple[str, str], ...] = ()
    is_doubtful: bool = False

    def is_words(self) -> bool:
        """Whether the part is only a text, neither options nor a label."""
        return not self.options and not self.column


def _alternation(names: Iterable[str]) -> str:
    """A regular expression for any of `names`, the longest first; Chinese ones with or without spaces between
    their characters."""
    return "|".join(
        r"\s{0,9}".join(name) if not name.isascii() else name for name in sorted(names, key=len, reverse=True)
    )


_ALL = _alternation((*COLUMN_BY_LABEL, *IGNORED_LABELS))
_OURS = _alternation(name for name, column in COLUMN_BY_LABEL.items() if column in ("answer", "explanation"))
_KEYS = _alternation(name for name, column in COLUMN_BY_LABEL.items() if column == "answer")
_EXPLAINED = _alternation(("解析", "答案解析", "试题解析", "详解", "题解"))
_MORE_LETTERS = rf"(?:[\s,、;/|+&和]{{0,9}}[{ANY_CASE_LETTERS}]){{0,{len(OPTION_LETTERS) - 1}}}"
_KEY = rf"(?:[{ANY_CASE_LETTERS}]{_MORE_LETTERS}|{TRUE_FALSE_WORDS})"
_AT_START = re.compile(
    (
        rf"[*★☆●\s]*+(?:[\[]\s{{0,9}}({_ALL})\s{{0,9}}[\]]\s{{0,9}}[:]?|"
        rf"[(]\s{{0,9}}({_ALL})\s{{0,9}}[)]\s{{0,9}}[:]?|({_ALL})\s{{0,9}}:|"
        rf"({_OURS})(?=\s*+$)|({_EXPLAINED})\s+(?=\S)|"
        rf"({_KEYS})\s{{0,9}}[为是选]?\s{{0,9}}(?=[(\[]?{_KEY}[)\]]?\s{{0,9}}[。.]?\s*+$))\s*"
    ),
    re.IGNORECASE,
)
_WHOLE_IN_BRACKETS = re.compile(
    rf"\s*+[(\[]\s{{0,9}}({_ALL})\s{{0,9}}:\s*+([^()\[\]]*)[)\]]\s*",
    re.IGNORECASE | re.DOTALL,
)
_IN_BRACKETS = re.compile(
    rf"\[\s{{0,9}}({_alternation(COLUMN_BY_LABEL)})\s{{0,9}}\]\s{{0,9}}:?\s*",
    re.IGNORECASE,
)
_WITHIN = re.compile(
    rf"{_IN_BRACKETS.pattern}|(?<=[\s。;,)\]、.])({_OURS})\s{{0,9}}:\s*|"
    rf"[(\[]\s{{0,9}}({_OURS})\s{{0,9}}:\s{{0,9}}({_KEY})\s{{0,9}}[)\]]",
    re.IGNORECASE,
)
"""Groups: 1 or 2 a label whose text follows; 3 and 4 a label in brackets, and its key there."""
_AFTER_KEY = re.compile(rf"(?<=[\s。;,)\]、.])({_ALL})\s{{0,9}}:\s*", re.IGNORECASE)
_OPTION = re.compile(
    rf"[(\[]?\s*([{ANY_CASE_LETTERS}])(?:\s*[)\]]\s*(?:[.、:](?![0-9]))?|[.、:]|\s+[.、:](?=\s))\s*(?![:/])"
)
_WEAK_OPTION = re.compile(
    rf"([{OPTION_LETTERS}])(?!\s*[项型族组级期类链])(?:\s+|[,。]\s*|(?=[\u4e00-\u9fff0-9(\[<≥≤>$!]))(?=\S)"
)
_MARKED = re.compile(
    rf"(?:[(\[]\s*|(?<![A-Za-z(\[]))([{OPTION_LETTERS}])(?:\s*([)\]])\s*(?:[.、:](?![0-9]))?|([.、:,])|"
    rf"\s+([.、:,])(?=\s))\s*(?![.、:,)\]](?![0-9])|[{OPTION_LETTERS}](?:[.、,)\]]|\s*[项型]))"
)
_MARKED_SMALL = re.compile(
    rf"(?:^|(?<=\s))(?:[(\[]\s*)?([{OPTION_LETTERS.lower()}])(?:\s*([)\]])\s*(?:[.、:](?![0-9]))?|([.、:,])|"
    r"\s+([.、:,])(?=\s))\s*(?![.、:,)\]](?![0-9]))"
)
_ONLY_KEY = re.compile(rf"\s*[(\[]?\s*{_KEY}\s*[)\]]?[。.]?\s*", re.IGNORECASE)
_BETWEEN = " \t\u3000\xa0;\uff1b|"
_SEPARATORS = ",\uff0c、/"


def split_line(text: str) -> list[LinePart]:
    """Split a line into parts: the text before its first option or label, its options, and each of its labels
    with the text after it. A blank line may have none."""
    line = fold_characters(text)
    if whole_match := _WHOLE_IN_BRACKETS.fullmatch(line):
        words = text[whole_match.start(2) : whole_match.end(2)]
        return [_label_part(whole_match[1], words)]
    if label := _AT_START.match(line):
        name = next(filter(None, label.groups()))
        return _split_labels(text, line, name, label.end())
    if label := _WITHIN.search(line):
        return _split_at_label(text, line, label)
    return _text_and_options(text)


def _split_at_label(text: str, folded_text: str, label: re.Match[str]) -> list[LinePart]:
    """The parts of a line with a label within it (a match of _WITHIN); the whole line as one text if nothing
    is before the label."""
    if not folded_text[: label.start()].strip():
        return [LinePart(text)]
    return [
        *_text_and_options(text[: label.start()]),
        *_split_from_label(text, folded_text, label),
    ]


def _split_from_label(text: str, folded_text: str, label: re.Match[str]) -> list[LinePart]:
    """The parts of a line from the label on that _WITHIN has matched. A label in brackets together with its
    key ends with the bracket."""
    if not label[3]:
        return _split_labels(text, folded_text, label[1] or label[2], label.end())
    part = _label_part(label[3], text[label.start(4) : label.end(4)])
    remaining_text = text[label.end() :].strip()
    return [part, LinePart(remaining_text)] if remaining_text else [part]


def _split_labels(text: str, folded_text: str, name: str, start: int) -> list[LinePart]:
    """The label `name` with its text from position `start`, and the labels after it: those in square
    brackets, and, unless an explanation is before them, those with a colon."""
    parts: list[LinePart] = []
    bracketed = _IN_BRACKETS.search(folded_text, start)
    plain = _AFTER_KEY.search(folded_text, start)
    while True:
        bracketed = _match_from(start, folded_text, bracketed)
        plain = _match_from(start, folded_text, plain)
        label = bracketed if _is_explanation(name) else _first_match(bracketed, plain)
        if label is None:
            return [*parts, _label_part(name, text[start:])]
        parts.append(_label_part(name, text[start : label.start()]))
        name, start = label[1], label.end()


def _match_from(
    start: int,
    folded_text: str,
    last_match: re.Match[str] | None,
) -> re.Match[str] | None:
    """The first match at position `start` or later of the pattern of `last_match`, its first one from an
    earlier position on; None if there is none, as there is none if `last_match` is None."""
    # a match further on is still the next one, so that a line of many labels is searched once
    if last_match is None or last_match.start() >= start:
        return last_match
    return last_match.re.search(folded_text, start)


def _is_explanation(name: str) -> bool:
    """Whether a label begins an explanation."""
    return COLUMN_BY_LABEL.get(_normalise_label(name)) == "explanation"


def _first_match(
    *matches: re.Match[str] | None,
) -> re.Match[str] | None:
    """The match that begins first; None if there is none."""
    return min(
        filter(None, matches),
        key=lambda match: match.start(),
        default=None,
    )


def _normalise_label(name: str) -> str:
    """A label without spaces and in capitals, to be compared."""
    return "".join(name.split()).upper()


def _label_part(name: str, words: str) -> LinePart:
    """The part of a label with the text after it; its column is "unused" if we have none for it."""
    name = _normalise_label(name)
    column = COLUMN_BY_LABEL.get(name, "unused")
    text = words.strip() if column == "explanation" else words.strip(_BETWEEN)
    return LinePart(text, name=name, column=column)


def _text_and_options(text: str) -> list[LinePart]:
    """The parts of a text without labels: a text, options, or options after a text; none for a blank text."""
    if not text.strip():
        return []
    first_option = _OPTION.match(fold_characters(text))
    if first_option is None:
        return _split_words(text)
    return [_options_from_start(text, first_option)]


def _split_words(text: str) -> list[LinePart]:
    """A text, and the options after it if at least two follow one another from A on."""
    run = find_option_run(text) or find_option_run(text, "a")
    if run is None or len(run[1]) < 2:
        return [LinePart(text.strip())]
    start, options = run
    return [
        LinePart(text[:start].strip()),
        _options_part(text[start:].strip(), options),
    ]


def _options_from_start(text: str, first_option: re.Match[str]) -> LinePart:
    """The options of a line that begins with one: all of them if their letters follow one another, else the
    first one with all the text after it."""
    if run := find_option_run(text, first_option[1]):
        return _options_part(text.strip(), run[1])
    letter = first_option[1].upper()
    words = text[first_option.end() :]
    return _options_part(text.strip(), ((letter, words.strip()),))


def _options_part(text: str, options: tuple[tuple[str, str], ...]) -> LinePart:
    """The part of a line that has `options` ((letter, text) each), written as `text`; doubtful if the text of
    one holds the letter that would come next."""
    is_doubtful = any(
        _holds_letter(fold_characters(words), chr(ord(letter) + 1)) for letter, words in options
    )
    return LinePart(text, options=options, is_doubtful=is_doubtful)


def _holds_letter(words: str, letter: str) -> bool:
    """Whether a text (folded) holds a letter written as that of an option is."""
    pattern = (
        rf"\s{letter}\s*[.、:,)\]]\s*\S"
        rf"|[^\s、,]{letter}\s*[.:)\]]\s*[^\s)\]]|[A-Za-z]{letter}\s*[、,]\s*[^\s)\]]"
    )
    return re.search(pattern, words) is not None


def _find_letters(text: str, first: str) -> list[re.Match[str]]:
    """The matches of option letters from `first` on (small letters if `first` is small) that have the same
    mark after them as the first one; those with another mark only if a space is before them. They need not
    follow one another."""
    line = fold_characters(text)
    letters = _letters_from(line, first)
    return [letter for letter in letters if _is_of_run(letter, letters[0], line)]


def _letters_from(folded_text: str, first: str) -> list[re.Match[str]]:
    """The matches of letters from `first` on, small or capital as it is, with a mark after them."""
    pattern = _MARKED_SMALL if first.islower() else _MARKED
    return [letter for letter in pattern.finditer(folded_text) if letter[1] >= first]


def _is_of_run(
    letter: re.Match[str],
    first_letter: re.Match[str],
    folded_text: str,
) -> bool:
    """Whether a letter has the same mark after it as the first one of its line, or a space before it."""
    has_same_mark = letter.group(2, 3, 4) == first_letter.group(2, 3, 4)
    return has_same_mark or folded_text[: letter.start()].endswith(" ")


def find_option_run(text: str, first: str = "A") -> tuple[int, tuple[tuple[str, str], ...]] | None:
    """Return where the options of a line begin, and the options, (letter as a capital, text) each, from the
    letter `first` on; a small `first` looks for small letters. One option is enough. None if there is none,
    the letters don't follow one another, each once, or one has no text."""
    matches = _find_letters(text, first)
    letters = "".join(match[1] for match in matches)
    if not letters.startswith(first) or letters.upper() not in OPTION_LETTERS:
        return None
    option_words = _words_behind_letters(text, matches)
    if not all(option_words):
        return None
    option_words = _without_separators(option_words)
    return matches[0].start(), tuple(zip(letters.upper(), option_words, strict=True))


def _words_behind_letters(text: str, letters: Sequence[re.Match[str]]) -> list[str]:
    """The text after each letter, up to the next letter or the end of the line."""
    ends = [letter.start() for letter in letters[1:]] + [len(text)]
    return [text[letter.end() : end].strip(_BETWEEN) for letter, end in zip(letters, ends, strict=True)]


def _without_separators(words: list[str]) -> list[str]:
    """The options' texts without the commas between them, if all but the last end with one."""
    if not all(option[-1] in _SEPARATORS for option in words[:-1]):
        return words
    return [option.rstrip(_SEPARATORS) for option in words[:-1]] + words[-1:]


def unmarked_option(text: str) -> tuple[str, str] | None:
    """Letter and text of an option without a mark after its letter («A 甲», «A甲»); None if it isn't one. It
    counts as one only if an option is expected there."""
    match = _WEAK_OPTION.match(fold_characters(text))
    return (match[1], text[match.end() :].strip()) if match else None


def is_answer_key(text: str) -> bool:
    """Whether a text is nothing but a key: letters, or 正确 and 错误 as people write them."""
    return _ONLY_KEY.fullmatch(fold_characters(text)) is not None
