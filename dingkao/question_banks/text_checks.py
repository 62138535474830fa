r"""Checks of a question's texts that are the same for Word, GIFT, spreadsheets and texts typed in the
browser: formula signs of other programs, content that we can't show, and keys in places where doctors would
see them.

\(…\) and \[…\] are converted to $…$. Refused are pictures, sound and tables written as HTML or Markdown, and
formulas that can't be drawn.
"""

import re
from dataclasses import dataclass, field
from itertools import chain

from dingkao.question_banks import markup, unsupported_content
from dingkao.question_banks.importers import labels
from dingkao.question_banks.question_types import (
    ANY_WIDTH_LETTERS,
    OPTION_LETTERS,
    QUESTION_TYPES,
    TRUE_FALSE,
    is_true_false,
)
from dingkao.tenants.encryption import normalise_text

TextWarning = tuple[str, str]
"""(reason or what was done, remedy)."""

UNREADABLE_FORMULA: TextWarning = (
    "有不能显示的公式“{}”",
    "请检查公式的写法（如括号是否成对），或截图后作为图片插入。",
)
FOREIGN_MARKUP: TextWarning = (
    "文字中有“{}”，是其他系统的图片、音频、视频、表格或嵌入内容，没有导入",
    "图片请用Word模板导入或导入后在题目编辑页插入；表格请写成“|甲|乙|”这样的行；其余的请删去。",
)
EXTERNAL_PICTURE: TextWarning = (
    "文字中的图片“{}”没有包含在文件里",
    "请用Word模板导入，或导入后在题目编辑页插入图片；不需要的请删去。",
)
KEY_SHOWN = ("题干的括号里写着答案", "正确选项的末尾标着")
"""The beginnings of warnings about a key that doctors would see."""
KEY_REMOVED_FROM_STEM: TextWarning = (
    f"{KEY_SHOWN[0]}“{{}}”",
    "已清空括号，请核对。",
)
POSSIBLE_KEY_IN_STEM: TextWarning = (
    "题干里的“{}”与答案相同，考生会看到",
    "如果写的是答案，请在题目编辑页删去；不是的可以不理会。",
)
KEY_CONTRADICTION: TextWarning = (
    "题干末尾括号里的“{}”与答案“{}”不一致",
    "请更正其中一个；题干里不要写答案，括号请留空。",
)
KEY_REMOVED_FROM_OPTIONS: TextWarning = (
    f"{KEY_SHOWN[1]}“{{}}”",
    "已去掉，请核对。",
)
KEY_IN_TEXT: TextWarning = (
    "文字中写着“{}”，考生会看到答案",
    "请把答案移到答案一栏（Word中单独写一行“答案：A”），再删去这里的。",
)

KEY_CONTEXT_LENGTH = 40
"""How many characters before a bracket, or at the end of a text, are examined."""

_DELIMITED = re.compile(
    r"\\\(((?:(?!\\[()\[\]])[^$\n]){1,500}?)\\\)|\\\[((?:(?!\\[()\[\]])[^$\n]){1,500}?)\\\]"
)
# the second branch skips $…$, so that the signs of two formulas side by side ($a$$b$) aren't read as $$
_DOUBLED = re.compile(r"(?<!\$)\$\$([^$\n]{1,500})\$\$(?![$0-9])|\$(?!\s)[^$\n]{1,500}?(?<!\s)\$(?![0-9])")
_LEFT = re.compile(r"\\[()\[\]].{0,20}", re.DOTALL)
_MARKUP = re.compile(
    (
        r"<\s*(?:img|audio|video|embed|object|iframe|svg|canvas|math|picture|source|table|"
        r"input)\b[^<>\n]{0,20}|@@PLUGINFILE@@[^\s\"')>]{0,20}"
        rf"|https?://[^\s\"'<>，。；）]{{1,300}}?\.(?:{unsupported_content.LINKED_FILE_EXTENSIONS})(?![\w])"
    ),
    re.IGNORECASE,
)
_PICTURE_ELSEWHERE = re.compile(
    (
        r"!\[[^\]\n]{0,200}\]\((?!图:[0-9a-f]{32}\))(?:https?:|data:|图:|\.{0,2}/|[\w./%-]+\.(?:png|jpe?g|"
        r"gif|svg|webp|bmp)\b)[^)\n]{0,20}"
    ),
    re.IGNORECASE,
)
_MORE_LETTERS = rf"(?:[\s,\uff0c\u3001;\uff1b/]{{0,9}}[{ANY_WIDTH_LETTERS}]){{0,{len(OPTION_LETTERS) - 1}}}"
_LETTERS = rf"[{ANY_WIDTH_LETTERS}]{_MORE_LETTERS}"
_VERDICT = "√|✓|✔|☑|×|✗|✘|☒|对|错|正确|错误|T|F"
_BRACKETS = (
    ("(", ")"),
    ("\uff08", "\uff09"),
    ("[", "]"),
    ("\uff3b", "\uff3d"),
    ("\u3010", "\u3011"),
    ("\u3014", "\u3015"),
)
_OPEN = "".join(re.escape(one) for one, _ in _BRACKETS)
_CLOSE = "".join(re.escape(one) for _, one in _BRACKETS)
_IN_BRACKETS = re.compile(
    rf"([{_OPEN}])(\s*(?:{_LETTERS}|{_VERDICT})\s*)([{_CLOSE}])",
    re.IGNORECASE,
)
_IN_A_BLANK = re.compile(rf"(?<![_\uff3f])([_\uff3f]++)(\s*(?:{_LETTERS})\s*)([_\uff3f]++)")
_AT_END = re.compile(r"\s*[.\u3002?\uff1f:\uff1a\uff01!;\uff1b\uff0c,]*\s*$")
_NAME_BEFORE = re.compile(
    r"(?:维生素|血型|型|族|类|组|级|期|方案|图|表|选项|细胞|抗原|抗体|因子|链|区|点|线|段|项|病毒|"
    r"[A-Za-z0-9])\s*$"
)
_BARE_AT_END = re.compile(rf"(?:[是为有:\uff1a]|\s)\s*({_LETTERS})[.\u3002?\uff1f]?\s*$")
_RIGHT_OPTION = re.compile(
    r"\s*(?:[(\uff08\[\u3010]\s*(?:正确答案|正确选项|正确|答案|对|√|✓|✔)\s*[)\uff09\]\u3011]|[√✓✔])\s*$"
)
_KEY_WORD = re.compile("答|正确选项|answer|key", re.IGNORECASE)
_RIGHT = frozenset("√✓✔☑T对") | {"正确"}
_WRONG = frozenset("×✗✘☒F错") | {"错误"}


class UnreadableText(ValueError):  # noqa: N818
    """A text that can't be shown as its author meant it. It is made from a warning and the words for the {}
    in its reason; `messages`: (reason, remedy)."""

    def __init__(self, warning: TextWarning, *reason_words: str) -> None:
        self.messages = fill_warning(warning, *reason_words)
        super().__init__(self.messages[0])


def fill_warning(warning: TextWarning, *words: str) -> TextWarning:
    """The warning with `words` in the places of {} in its reason."""
    reason, remedy = warning
    return reason.format(*words), remedy


def convert_markup(text: str) -> str:
    """`text` with other programs' formula signs converted to ours. Raises UnreadableText for what questions
    can't show."""
    if "\\" in text:
        text = _convert_backslash_formulas(text)
    if "$" in text:
        text = _convert_dollar_formulas(text)
    _refuse_foreign_markup(text)
    if "![" in text and (picture := _PICTURE_ELSEWHERE.search(text)):
        raise UnreadableText(EXTERNAL_PICTURE, picture[0][:20])
    return text


def _refuse_foreign_markup(text: str) -> None:
    """Raise UnreadableText for pictures, sound, tables and files of other systems."""
    may_have_markup = "<" in text or "@@" in text or "://" in text
    if may_have_markup and (foreign := _MARKUP.search(text)):
        raise UnreadableText(FOREIGN_MARKUP, foreign[0][:20])


def _convert_backslash_formulas(text: str) -> str:
    r"""`text` with \(…\) and \[…\] as $…$. Raises UnreadableText if one of the signs is not paired."""
    text = _DELIMITED.sub(_delimited_formula, text)
    if unpaired := _LEFT.search(text):
        raise UnreadableText(UNREADABLE_FORMULA, unpaired[0][:20])
    return text


def _delimited_formula(match: re.Match[str]) -> str:
    r"""The replacement for a match of _DELIMITED: $…$ for a formula between \(…\) or \[…\]; an empty one
    stays as it is."""
    formula = (match[1] or match[2]).strip()
    return f"${formula}$" if formula else match[0]


def _convert_dollar_formulas(text: str) -> str:
    """`text` with $$…$$ as $…$. Raises UnreadableText if a formula can't be drawn."""
    text = _DOUBLED.sub(_doubled_formula, text)
    for formula in markup.formulas_in(text):
        if markup.formula_to_mathml(formula).startswith("<code>"):
            raise UnreadableText(UNREADABLE_FORMULA, formula[:20])
    return text


def _doubled_formula(match: re.Match[str]) -> str:
    """The replacement for a match of _DOUBLED: $…$ for a formula between $$…$$; a formula between single
    signs, its second branch, stays as it is."""
    formula = (match[1] or "").strip()
    return f"${formula}$" if formula else match[0]


def refuse_visible_key(text: str) -> None:
    """Raise UnreadableText if the text, which doctors see, has a key with its label, as happens if several
    lines were put into one cell."""
    if _KEY_WORD.search(text) is None:
        return
    for piece in chain.from_iterable(map(labels.split_line, text.split("\n"))):
        if _is_labelled_key(piece):
            raise UnreadableText(KEY_IN_TEXT, f"{piece.name}：{piece.text}"[:20])


def _is_labelled_key(piece: labels.LinePart) -> bool:
    """Whether a part of a line is a label of the answer with a key."""
    return piece.column == "answer" and bool(piece.text) and labels.is_answer_key(piece.text)


@dataclass
class _KeyRemover:
    """Removes a question's key from brackets and blanks in its stem; `messages`: warnings about what was
    done."""

    answer: str
    kind: str
    messages: list[TextWarning] = field(default_factory=list)

    def empty(self, match: re.Match[str]) -> str:
        """The replacement for a bracket or blank: an empty one if it holds the key; unchanged if not, or if
        it may be a part of a name (then with a warning)."""
        if not _states_key(match[2], self.answer, self.kind):
            return match[0]
        if _follows_name(match.string, match.start()):
            self.messages.append(fill_warning(POSSIBLE_KEY_IN_STEM, match[0]))
            return match[0]
        self.messages.append(fill_warning(KEY_REMOVED_FROM_STEM, match[2].strip()))
        return "____" if match[1][0] in "_\uff3f" else f"{match[1]}\u3000\u3000{match[3]}"


def remove_key_from_stem(stem: str, answer: str, kind: str) -> tuple[str, list[TextWarning]]:
    """Return the stem without the key that its author left in brackets or in a blank, and the warnings about
    that, also about what may be the key and stays. `answer`: the key's letters in order; `kind`: the type's
    code. Raises UnreadableText if brackets at its end hold another key."""
    remover = _KeyRemover(answer, kind)
    cleaned_stem = _IN_A_BLANK.sub(remover.empty, _IN_BRACKETS.sub(remover.empty, stem))
    if remover.messages:
        return cleaned_stem, remover.messages
    _refuse_contradiction(stem, answer, kind)
    return stem, _bare_key_warnings(stem, answer, kind)


def _refuse_contradiction(stem: str, answer: str, kind: str) -> None:
    """Raise UnreadableText if brackets at the stem's end hold what may be a key. To be called if no brackets
    hold the question's own (`answer`), so that it is another."""
    for bracket_match in _IN_BRACKETS.finditer(stem):
        if _is_key_at_end(bracket_match, kind):
            raise UnreadableText(
                KEY_CONTRADICTION,
                bracket_match[2].strip(),
                QUESTION_TYPES[kind].answer_text(answer, TRUE_FALSE.own_options),
            )


def _is_key_at_end(bracket_match: re.Match[str], kind: str) -> bool:
    """Whether the brackets are at the end of a stem and hold what may be a key of the type `kind`, and not a
    part of a name."""
    if not _AT_END.fullmatch(bracket_match.string, bracket_match.end()):
        return False
    if _is_true_false_word(bracket_match[2]) != is_true_false(kind):
        return False
    return not _follows_name(bracket_match.string, bracket_match.start())


def _bare_key_warnings(stem: str, answer: str, kind: str) -> list[TextWarning]:
    """In a list, a warning if letters at the end of a stem, without brackets, may be its key; none for a
    statement."""
    bare_key = None if is_true_false(kind) else _BARE_AT_END.search(stem[-KEY_CONTEXT_LENGTH:])
    if bare_key is None or not _states_key(bare_key[1], answer, kind):
        return []
    return [fill_warning(POSSIBLE_KEY_IN_STEM, bare_key[1])]


def _follows_name(text: str, position: int) -> bool:
    """Whether what is at `position` may be a part of a name, such as that of a vitamin or a blood group."""
    return _NAME_BEFORE.search(text[max(0, position - KEY_CONTEXT_LENGTH) : position]) is not None


def remove_key_from_options(
    options: list[tuple[str, str]], answer: str
) -> tuple[list[tuple[str, str]], list[TextWarning]]:
    """Return the options without the marks of the right ones, if exactly the right ones (`answer`: their
    letters in order) have a mark, and the warnings about that; else unchanged, without a warning."""
    marks = {letter: mark for letter, words in options if (mark := _right_mark(words))}
    if not marks or "".join(sorted(marks)) != answer:
        return options, []
    cleaned_options = [(letter, words.removesuffix(marks.get(letter, ""))) for letter, words in options]
    first_mark = next(iter(marks.values()))
    return cleaned_options, [fill_warning(KEY_REMOVED_FROM_OPTIONS, first_mark.strip())]


def _right_mark(words: str) -> str:
    """The mark at the end of an option, with the spaces around it, that says it is right; "" if there is none
    or the option is nothing else."""
    mark = _RIGHT_OPTION.search(words, max(0, len(words) - KEY_CONTEXT_LENGTH))
    return mark[0] if mark and mark.start() else ""


def _is_true_false_word(words: str) -> bool:
    """Whether `words` are a word or sign for true or false."""
    return normalise_text(words) in _RIGHT | _WRONG


def _states_key(words: str, answer: str, kind: str) -> bool:
    """Whether `words` are nothing but the key `answer` (letters in order) of a question of the type
    `kind`."""
    if is_true_false(kind):
        return normalise_text(words) in (_RIGHT if answer == TRUE_FALSE.own_options[0][0] else _WRONG)
    letters = re.findall(f"[{OPTION_LETTERS}]", normalise_text(words))
    return (
        not re.search(f"[^{OPTION_LETTERS},、;/]", normalise_text(words))
        and "".join(sorted(letters)) == answer
    )
