"""Headings: lines between questions that say what several questions share ((1~2题共用题干), 病例1,
根据以下材料回答2-3题), the type of the following ones (二、A3型题), chapters, instructions. A line that seems
to say that something is shared but isn't understood (UNCLEAR) is distinguished from one that doesn't say
so.

Patterns are matched with a line as `fold_characters` returns it (`folded_text`, `line`); texts are cut from
the line as written (`text`), in which all positions are the same.
"""

import re
from dataclasses import dataclass

from dingkao.question_banks.importers.numerals import (
    fold_characters,
    parse_han_number,
)
from dingkao.question_banks.importers.stray_lines import (
    CASE_WORDS,
    HAN_NUMBER,
    INSTRUCTION,
)
from dingkao.question_banks.question_types import (
    SharedContent,
    group_words,
    heading_words,
)

SHARED_CONTENT = "shared"
QUESTION_TYPE = "type"
SECTION = "section"
UNCLEAR = "unclear"


@dataclass(frozen=True)
class Heading:
    """A line between questions. `kind`: one of the constants above.

    Of SHARED_CONTENT: `first_number` and `last_number` of the questions that share it, or `count`, how many
    they are (None: not said); `is_case`: True for a case, False for options, None if it isn't said;
    `remaining_text`: the text after the heading on the same line. Of QUESTION_TYPE: `type`, the type's code
    ("" if the words don't settle it or it isn't one of ours; "C" and "K" are refused later), and
    `needs_case`, whether each question needs a case. `is_certain`: the line can hardly be anything but a
    heading.
    """

    kind: str
    first_number: int | None = None
    last_number: int | None = None
    count: int | None = None
    is_case: bool | None = None
    remaining_text: str = ""
    type: str = ""
    needs_case: bool = False
    is_certain: bool = True

    def names_questions(self) -> bool:
        """Whether it says which questions share something, or how many."""
        return self.first_number is not None or self.count is not None


_NUMBER = f"(?:[0-9]{{1,3}}|{HAN_NUMBER}|[A-Z](?![A-Za-z0-9])|[①-⑳Ⅰ-Ⅻ])"
_TO = r"\s*(?:小|道)?题?\s*(?:[~,、]|-{1,2}|至|到|和|与|及)\s*第?\s*"
_RANGE = rf"第?\s*([0-9]{{1,4}}){_TO}([0-9]{{1,4}})\s*(?:小|道)?题?"
_OPTIONS = "备选答案|备选项|选项|答案"
_VOCABULARY = (
    # atomic group: a line of only such words isn't tried in all the ways in which it can be divided
    rf"(?>{CASE_WORDS}|{_OPTIONS}|共用|共同|公用|合用|使用|以下|下列|下述|下面|上述|"
    r"同一|一个|一段|一组|一份|个|"
    r"试题|问题|考题|题组|小题|题|第|组|道|回答|完成|解答|作答|基于|根据|依据|针对|"
    r"依照|按照|结合|阅读|请|所给|给出|提供|提示|描述|均|都|各|的|为|是|属于|有关|相关|临床|分析|摘要|"
    rf"{'|'.join(group_words())}|型|,|、|;|\s)"
)
_PREFIX = (
    rf"(?:[(\[]?\s*{HAN_NUMBER}\s*[)\]]?\s*[、.]?\s*)?(?:[(\[]?\s*(?:{CASE_WORDS}|题组|"
    rf"第)\s*(?:[(\[]?\s*{_NUMBER}\s*[)\]]?\s*组?)?\s*[)\]]?\s*[:.、]?\s*)?"
)
_IN_BRACKETS = re.compile(
    rf"{_PREFIX}[(\[]\s*({_VOCABULARY}*?{_RANGE}{_VOCABULARY}*)[)\]]\s*[:。]?\s*",
    re.DOTALL,
)
_BRACKETED_RANGE = re.compile(
    rf"[(\[]\s*{_RANGE}\s*[)\]]\s*((?:小|道)?题{_VOCABULARY}+)(?::\s*|$)",
    re.DOTALL,
)
_OPEN = re.compile(
    rf"{_PREFIX}({_VOCABULARY}*?{_RANGE}{_VOCABULARY}*)(?:[:。]\s*|$)",
    re.DOTALL,
)
_COUNT = re.compile(
    rf"([(\[])?\s*(?:以下|下列|下述|下面|本例|上述)?\s*([0-9]{{1,2}}|{HAN_NUMBER})\s*"
    r"(?:个|道|小)*(?:试|问|考)?题\s*"
    rf"(?:均|都)?((?:共用|共同|公用|合用|基于|根据|针对){_VOCABULARY}*)(?(1)[)\]]\s*:?|(?::|$))\s*",
    re.DOTALL,
)
_NAMED_CASE = re.compile(
    rf"(?:[(\[]?\s*{HAN_NUMBER}\s*[)\]、.]\s*)?([(\[])?\s*"
    rf"(共用(?:备选答案|备选项|选项|答案|病例|案例|材料|资料)|{CASE_WORDS.replace('|题干|', '|')}|题组)"
    rf"\s*(?:分析|摘要|描述|资料|组|串|题)?\s*([(\[]?\s*{_NUMBER}\s*[)\]]?)?\s*"
    r"(?(1)[)\]]\s*[:.、]?|(?:[:.、](?![0-9])|(?=\s*$)"
    r"|(?<=[0-9一二三四五六七八九十)\]])(?:\s+|(?=患|男|女|某))))\s*",
    re.DOTALL,
)
_SHARED_WORD = re.compile(
    r"共用|共同|公用|合用|题干|病例|案例|病历|病案|材料|资料|情景|情境|病情|备选|选项|答案|回答|完成|解答|"
    r"作答|基于|根据|依据|针对|题"
)
_PERHAPS = re.compile(
    rf"(?:共用|公用|合用|共同使用)\s*(?:{_VOCABULARY}|[0-9]|{HAN_NUMBER})"
    rf"|[0-9]\s*(?:[~]|-|至|到)\s*第?\s*[0-9]+\s*(?:小|道)?题|^\s*[(\[]\s*(?:共用|临床|{CASE_WORDS})"
)
_TYPES = {word: named_type.code for word, named_type in heading_words().items()} | {
    "C": "C",
    "K": "K",
    "A": "",
    "A1/A2": "",
    "A1、A2": "",
    "A1-A2": "",
    "选择": "",
    "不定项": "",
    "不定项选择": "",
    "填空": "",
    "简答": "",
    "问答": "",
    "名词解释": "",
    "论述": "",
    "计算": "",
    "材料分析": "",
    "综合": "",
    "混合": "",
}
_OF_CASES = dict.fromkeys(
    (
        "共用题干",
        "共用题干选择",
        "共用题干单选",
        "案例",
        "案例分析",
        "案例选择",
        "病例",
        "病例分析",
        "病例选择",
        "病历分析",
        "综合分析",
        "综合分析选择",
        "临床病例分析",
        "临床案例分析",
        "案例分析选择",
        "案例单选",
        "病例单选",
        "案例分析单选",
        "病例分析单选",
    ),
    "",
) | {
    word: named_type.code
    for word, named_type in heading_words().items()
    if named_type.shares is SharedContent.CASE
}
_ONE_OF = "|".join(sorted({*_TYPES, *_OF_CASES}, key=len, reverse=True))
_TYPE = re.compile(
    rf"(?:第?\s*[(\[]?\s*(?:[0-9]{{1,2}}|{HAN_NUMBER}|[IVX]{{1,4}}|[Ⅰ-Ⅻ])\s*(?:部分|大题|卷|"
    rf"篇)?\s*[)\]]?\s*[、.,:\s]*)?[(\[]?\s*({_ONE_OF})\s*(?:型题|型|题)(?:型)?\s*[)\]]?"
    r"(?P<tail>\s*$|[\s(\[,。;共每及][^\n]{0,60}|:\s*$|:\s*(?:共|每|以下|请|在|从|下列)[^\n]{0,60})",
    re.IGNORECASE,
)
_SECTION = re.compile(
    r"(?:第\s*(?:[0-9]{1,3}|[一二三四五六七八九十百]{1,4})\s*(?:章|节|部分|单元|篇|编|卷|大题|讲)|(?:Part|"
    r"PART|Chapter)\s*[0-9IVX]+)(?![0-9])"
)
_TITLE_OF_A_CASE = re.compile(
    rf"(?:第?\s*[(\[]?\s*(?:[0-9]{{1,2}}|{HAN_NUMBER})\s*(?:部分|大题|[)\]、.:]|\s)\s*)?"
    rf"(?:临床|典型|综合|患者|以下|下列|下面|题干|Case|CASE|case|{CASE_WORDS}){{1,3}}"
    r"(?:如下|分析|摘要|描述|介绍|组|串|题|类|型)*"
    rf"\s*(?:[0-9]{{1,2}}|{HAN_NUMBER})?\s*(?:[(\[][^)\]]{{0,20}}[)\]])?"
)
_BARE_RANGE = re.compile(
    r"[(\[]?\s*第?[0-9]{1,4}\s*(?:~|-{1,2}|至|到|、)\s*第?[0-9]{1,4}\s*(?:小|道)?题?\s*[)\]]?\s*:?"
)
_CASE_OF_NUMBERS = re.compile(
    rf"(?:{CASE_WORDS}|题干)[^。]{{0,12}}?{_RANGE}题?|{_RANGE}题[^。]{{0,12}}?(?:{CASE_WORDS})"
)
_DECORATION = " \t:。.,*★☆●◆■▲△◇□-—=_<>《》“”\"'#~[]()"
_GENERAL_INSTRUCTION = re.compile(r"\s*(?:说明|注意|要求|填写说明|答题说明)")
_NUMBER_RANGE = re.compile(r"[0-9]\s*[~\-至到]\s*第?[0-9]")
MAX_RANGE, MAX_TITLE_LENGTH = 100, 40


def parse_heading(text: str) -> Heading | None:
    """The heading that a line is, if it says which of the questions below share something, or of what type
    they are; else None."""
    line = fold_characters(text)
    return _heading_of_range(line, text) or _type_heading(line)


def possible_heading(text: str) -> Heading | None:
    """The heading that a line may be, if it is neither label, option nor number (which isn't checked here): a
    case or shared options without their questions' numbers, a chapter, or an unclear heading; else None."""
    line = fold_characters(text)
    return _case_heading(line, text) or _chapter_or_unclear_heading(line)


def _heading_of_range(folded_text: str, text: str) -> Heading | None:
    """A heading that says which questions, or how many, share something; None for other lines."""
    return (
        _bracketed_heading(folded_text, text)
        or _bracketed_range_heading(folded_text, text)
        or _open_heading(folded_text, text)
        or _counted_heading(folded_text, text)
    )


def _bracketed_heading(folded_text: str, text: str) -> Heading | None:
    """A heading in brackets, (1~2题共用题干); None for other lines."""
    match = _IN_BRACKETS.match(folded_text)
    if match is None or not _speaks_of_questions(folded_text, match):
        return None
    return _shared_heading(text, match, int(match[2]), int(match[3]))


def _speaks_of_questions(folded_text: str, match: re.Match[str]) -> bool:
    """Whether the words in the brackets (group 1 of a match of _IN_BRACKETS), or before them, mention
    questions or what they share."""
    return "题" in match[1] or _SHARED_WORD.search(folded_text[: match.end()]) is not None


def _bracketed_range_heading(folded_text: str, text: str) -> Heading | None:
    """A heading with only the numbers in brackets, (1~2)题共用题干; None for other lines."""
    if match := _BRACKETED_RANGE.match(folded_text):
        return _shared_heading(text, match, int(match[1]), int(match[2]))
    return None


def _open_heading(folded_text: str, text: str) -> Heading | None:
    """A heading without brackets, 根据以下材料回答2-3题; None for other lines."""
    match = _OPEN.match(folded_text)
    if match and _SHARED_WORD.search(match[0]):
        return _shared_heading(text, match, int(match[2]), int(match[3]))
    return None


def _shared_heading(text: str, match: re.Match[str], first: int, last: int) -> Heading:
    """The heading of what the questions from `first` to `last`, both included, share; UNCLEAR if these are
    not a plausible range of at most MAX_RANGE."""
    if not first <= last < first + MAX_RANGE:
        return Heading(UNCLEAR)
    is_case = _mentioned_content(match[0])
    return Heading(
        SHARED_CONTENT,
        first,
        last,
        is_case=is_case,
        remaining_text=text[match.end() :],
    )


def _counted_heading(folded_text: str, text: str) -> Heading | None:
    """The heading of what a number of questions below share, 以下3题共用题干; None for other lines."""
    match = _COUNT.match(folded_text)
    if match is None:
        return None
    count = int(match[2]) if match[2].isdigit() else parse_han_number(match[2])
    is_case = _mentioned_content(match[0])
    return Heading(
        SHARED_CONTENT,
        count=count,
        is_case=is_case,
        remaining_text=text[match.end() :],
    )


def _mentioned_content(text: str) -> bool | None:
    """For a heading's `is_case`: False if the text mentions options, else True if it mentions a case, None if
    neither."""
    if re.search(_OPTIONS, text):
        return False
    return True if re.search(CASE_WORDS, text) else None


def _type_heading(line: str) -> Heading | None:
    """A heading that names the type of the questions below it; None for other lines."""
    match = _TYPE.fullmatch(line.strip())
    if match is None:
        return None
    word = match[1].upper()
    kind = _OF_CASES.get(word, _TYPES.get(word, ""))
    return Heading(QUESTION_TYPE, type=kind, needs_case=word in _OF_CASES)


def _case_heading(folded_text: str, text: str) -> Heading | None:
    """A heading that names a case or shared options without the questions' numbers; None for other lines."""
    match = _NAMED_CASE.match(folded_text)
    if match is None:
        return None
    remaining_text = text[match.end() :]
    is_certain = bool(match[1] or match[3] or not remaining_text.strip())
    is_case = _mentioned_content(match[2])
    return Heading(
        SHARED_CONTENT,
        is_case=is_case,
        remaining_text=remaining_text,
        is_certain=is_certain,
    )


def _chapter_or_unclear_heading(line: str) -> Heading | None:
    """A chapter's heading (SECTION), or an UNCLEAR one that seems to say that something is shared; None for
    other lines."""
    if _SECTION.match(line):
        return Heading(SECTION)
    if _is_case_title(line) or _may_announce_sharing(line):
        return Heading(UNCLEAR)
    return None


def _may_announce_sharing(line: str) -> bool:
    """Whether a line uses words for shared content and is not an instruction for all questions; an
    instruction with a range of numbers («1~3») still counts."""
    if _PERHAPS.search(line) is None or _is_general_instruction(line):
        return False
    return INSTRUCTION.search(line) is None or _NUMBER_RANGE.search(line) is not None


def _is_general_instruction(line: str) -> bool:
    """Whether a line is too long for a title and begins like instructions for the whole document."""
    return len(line) > MAX_TITLE_LENGTH and _GENERAL_INSTRUCTION.match(line) is not None


def _is_case_title(line: str) -> bool:
    """Whether a line of at most MAX_TITLE_LENGTH characters says that a case follows, or for which questions,
    in a form that isn't understood."""
    bare = line.strip(_DECORATION)
    if not bare or len(line) > MAX_TITLE_LENGTH or re.search(r"[,;。?]", bare):
        return False
    return _names_case(line, bare)


def _names_case(line: str, bare: str) -> bool:
    """Whether a line (`bare`: without ornaments) is nothing but a case's name or questions' numbers, or has
    both."""
    return bool(
        _TITLE_OF_A_CASE.fullmatch(bare)
        or _BARE_RANGE.fullmatch(line.strip())
        or _CASE_OF_NUMBERS.search(line)
    )
