r"""Moodle's GIFT: read as Moodle documents it, and written so that Moodle loads it and we read the same again.

Questions stand between blank lines: ::title:: [format] text { answers } text. In the answers = begins a right one and ~ a wrong one, %50%
gives one a weight, # begins feedback and #### what is said of the whole; \ takes the meaning from ~ = # { } : and itself, \n is a break.
What GIFT has no word for (type, group, case, subject and so on) stands in a comment before the question, which Moodle passes over.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dingkao.errors import Invalid, TooLarge
from dingkao.exams.content import from_html, is_marked, to_html
from dingkao.outside.sheets import MAX_BYTES, Fault, Report, Row

OURS = "// dingkao: "
FORMATS = ("html", "moodle", "plain", "markdown")
LETTERS = "ABCDEFGHIJ"
GAP = "____"
TITLE_LENGTH = 30
ABOUT = ("kind", "group", "case_stem", "subject", "category", "topic", "difficulty", "purpose")

_HEADER = re.compile(r"题干|题目|试题")
_ESCAPED = re.compile(r"\\([~=#{}:\\n])")
_FORMAT = re.compile(rf"\[({'|'.join(FORMATS)})\]", re.IGNORECASE)
_WEIGHT = re.compile(r"%(-?[0-9]+(?:[.,][0-9]+)?)%")
_TRUE, _FALSE = ("T", "TRUE"), ("F", "FALSE")
_TAG = re.compile(r"<[a-zA-Z/][^>]*>|&(?:#\d+|[a-zA-Z]+);")
_HELD = {letter: chr(1 + place) for place, letter in enumerate("~=#{}:\\n")}
"""What was escaped is held apart, as characters that no text has, while the rest is taken to pieces."""
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f]")


class _Unfit(ValueError):  # noqa: N818
    """A question that can't be taken: why, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.fault = (reason, remedy)


@dataclass
class _Block:
    """The lines of one question: where it begins, what our comment says of it, its text."""

    line: int
    about: dict[str, Any]
    lines: list[str] = field(default_factory=list)


def looks_like(content: bytes) -> bool:
    """Whether a file is GIFT rather than a sheet."""
    if content.startswith((b"PK", b"\xd0\xcf\x11\xe0")) or b"\0" in content[:4096]:
        return False
    try:
        text = content[:200_000].decode("utf-8-sig", "ignore")
    except ValueError:
        return False
    begun = [line for line in text.splitlines() if line.strip()][:20]
    if any(_HEADER.search(line) and "答案" in line and "{" not in line for line in begun):
        return False
    return "{" in text or any(line.lstrip().startswith(("::", "$CATEGORY", "//")) for line in begun)


def read(content: bytes, report: Report) -> Iterator[Row]:
    """The questions of a GIFT file as rows like a sheet's, numbered by the line they begin at; what can't be taken goes into `report`.
    Raises Invalid, TooLarge."""
    if len(content) > MAX_BYTES:
        raise TooLarge(f"文件超过{MAX_BYTES // 1024 // 1024} MB,请分成几个文件上传。")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise Invalid("GIFT文件应为UTF-8编码,请用记事本另存为UTF-8后上传。") from fault
    topic = ""
    for block in _blocks(text):
        if block.lines and block.lines[0].lstrip().upper().startswith("$CATEGORY:"):
            topic = _topic(block.lines.pop(0))
            block.line += 1
        if not "".join(block.lines).strip():
            continue
        name = "题目"
        try:
            title, cells, warned = _question("\n".join(block.lines).strip())
            name = title[:TITLE_LENGTH] or name
        except _Unfit as unfit:
            reason, remedy = unfit.fault
            report.errors.append(Fault(block.line, name, reason, remedy))
            continue
        report.warnings += [Fault(block.line, name, reason, remedy) for reason, remedy in warned]
        if topic:
            cells["topic"] = topic
        yield Row(block.line, _with_ours(cells, block.about))


def _blocks(text: str) -> Iterator[_Block]:
    block: _Block | None = None
    about: dict[str, Any] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        bare = line.strip()
        if bare.startswith("//"):
            # a comment does not end a question; ours tells of the one that follows
            about = _ours(bare) or about
        elif not bare:
            if block:
                yield block
                block, about = None, {}
        else:
            if block is None:
                block = _Block(number, {})
            block.about = block.about or about
            block.lines.append(line)
    if block:
        yield block


def _ours(comment: str) -> dict[str, Any]:
    if not comment.startswith(OURS.strip()):
        return {}
    try:
        about = json.loads(comment[len(OURS.strip()) :])
    except (ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def _with_ours(cells: dict[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """What our comment adds: the columns, which letters the options had, and the case that stands before the stem for others to see."""
    said = {name: text for name in ABOUT if isinstance(text := about.get(name), str)}
    cells = cells | said
    case = said.get("case_stem")
    if case and cells["stem"].startswith(f"{case}\n\n"):
        cells["stem"] = cells["stem"][len(case) + 2 :]
    letters = about.get("letters")
    own = [letter for letter in LETTERS if f"option_{letter}" in cells]
    if isinstance(letters, str) and len(letters) == len(own) and set(letters) <= set(LETTERS):
        moved = dict(zip(own, letters, strict=True))
        words = {f"option_{moved[letter]}": cells.pop(f"option_{letter}") for letter in own}
        cells |= words | {"answer": "".join(moved.get(letter, letter) for letter in cells["answer"])}
    return cells


def _topic(line: str) -> str:
    """The last part of a category's path; its own strokes are doubled."""
    path = line.split(":", 1)[1].strip().replace("//", "\x00")
    parts = [part.replace("\x00", "/").strip() for part in path.split("/")]
    own = [part for part in parts if part and part.lower() not in ("top", "$course$", "$cat1$", "$system$", "$module$")]
    return own[-1] if own else ""


def _question(text: str) -> tuple[str, dict[str, Any], list[tuple[str, str]]]:
    """A question's title, its cells, and what to warn of. Raises _Unfit."""
    text = _CONTROLS.sub("", text)
    text = _ESCAPED.sub(lambda found: _HELD[found[1]], text)
    title = ""
    if text.startswith("::"):
        title, found, text = text[2:].partition("::")
        if not found:
            raise _Unfit("标题没有结束", "标题应写成“::标题::”,标题里的冒号请写成“\\:”。")
    title, text = _free(title).strip(), text.strip()
    head, opened, rest = text.partition("{")
    if not opened:
        if "}" in text:
            raise _Unfit("多余的“}”", "请检查大括号是否成对;题目文字中的大括号请写成“\\{”和“\\}”。")
        raise _Unfit("没有答案区,是一段说明文字", "说明文字不是试题,没有导入;如是共用题干,请改用模板的“共用题干”列。")
    inside, closed, tail = rest.partition("}")
    if not closed:
        raise _Unfit("答案区没有结束,缺少“}”", "请补上“}”;题目内不要有空行,题目文字中的大括号请写成“\\{”和“\\}”。")
    if "{" in inside or "{" in tail or "}" in tail:
        raise _Unfit("一个题目中有多个答案区,或大括号不成对", "两题之间请空一行;题目文字中的大括号请写成“\\{”和“\\}”。")
    kind, head = _format_of(head)
    warned: list[tuple[str, str]] = []
    stem = _said(f"{head}{GAP}{tail}" if tail.strip() else head, kind, warned)
    if not stem:
        raise _Unfit("没有题干", "请在答案区“{”之前填写题干。")
    cells = {"stem": stem} | _answers(inside, kind, warned)
    return title or stem, cells, warned


def _format_of(text: str, default: str = "moodle") -> tuple[str, str]:
    found = _FORMAT.match(text.lstrip())
    return (found[1].lower(), text.lstrip()[found.end() :]) if found else (default, text)


def _free(text: str) -> str:
    """What was escaped, as what it means."""
    for letter, held in _HELD.items():
        text = text.replace(held, "\n" if letter == "n" else letter)
    return text


def _said(text: str, kind: str, warned: list[tuple[str, str]]) -> str:
    """A text of the file as ours."""
    text = _free(text.strip()).strip()
    if kind == "html" or (kind in ("moodle", "markdown") and _TAG.search(text)):
        text, lost = from_html(text if kind == "html" else text.replace("\n", "<br>"))
        warned += [(f"文字中的{one}没有导入", "请在题目编辑页重新插入。") for one in lost]
    return text.strip()


def _answers(inside: str, kind: str, warned: list[tuple[str, str]]) -> dict[str, Any]:
    """The answers between the braces as cells. Raises _Unfit."""
    inside, _, general = inside.partition("####")
    inside, overall = inside.strip(), _part(general, kind, warned) if general.strip() else ""
    if not inside:
        raise _Unfit("是问答题(答案区为空)", "定考只用客观题,请改为选择题或判断题。")
    if inside.startswith("#"):
        raise _Unfit("是数值题", "请改为选择题,把数值写成选项。")
    word, *feedback = inside.split("#")
    if word.strip().upper() in (*_TRUE, *_FALSE):
        notes = [note for one in feedback if (note := _part(one, kind, warned))]
        answer = "正确" if word.strip().upper() in _TRUE else "错误"
        return {"kind": "TF", "answer": answer} | _explained(overall or "\n".join(notes))
    if inside[0] not in "=~":
        raise _Unfit("答案区的写法无法识别", "选项应以“=”(正确)或“~”(错误)开头;判断题写成{T}或{F}。")
    if "~" not in inside:
        if "->" in inside:
            raise _Unfit("是匹配题", "请改用B1型题(共用备选答案)的模板。")
        raise _Unfit("是填空(简答)题,只有正确答案没有其他选项", "请补充以“~”开头的错误选项,改为选择题。")
    return _choices(inside, kind, overall, warned)


def _choices(inside: str, kind: str, overall: str, warned: list[tuple[str, str]]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    right, notes, partly = [], [], False
    pieces = re.findall(r"([=~])([^=~]*)", inside)
    if len(pieces) > len(LETTERS):
        raise _Unfit(f"选项超过{len(LETTERS)}个", f"请把选项减到{len(LETTERS)}个以内。")
    single = any(sign == "=" for sign, _ in pieces)
    for letter, (sign, piece) in zip(LETTERS, pieces, strict=False):
        piece = piece.strip()
        weighed = _WEIGHT.match(piece)
        weight = float(weighed[1].replace(",", ".")) if weighed else 0.0
        words, _, feedback = piece[weighed.end() if weighed else 0 :].partition("#")
        text = _part(words, kind, warned)
        if not text:
            raise _Unfit(f"选项{letter}没有文字", "请填写选项,或删除多余的“=”“~”。")
        cells[f"option_{letter}"] = text
        if sign == "=" or (not single and weight > 0):
            right.append(letter)
        partly = partly or (single and sign == "~" and weight > 0)
        if note := _part(feedback, kind, warned):
            notes.append(f"{letter}:{note}")
    if not right:
        raise _Unfit("没有正确答案", "请用“=”标出正确选项,多选题用“~%50%”这样的正分标出每个正确选项。")
    if single and len(right) > 1:
        raise _Unfit("单选题有几个正确答案", "多选题请把每个正确选项写成“~%50%选项”这样的正分,各项之和为100。")
    if partly:
        warned.append(("有给部分分的选项", "已按错误选项导入,请核对。"))
    return cells | {"answer": "".join(right)} | _explained(overall or "\n".join(notes))


def _explained(text: str) -> dict[str, str]:
    return {"explanation": text} if text else {}


def _part(text: str, kind: str, warned: list[tuple[str, str]]) -> str:
    """An answer or a feedback, which may name a format of its own."""
    own, text = _format_of(text, kind)
    return _said(text, own, warned)


# --- written


def write(questions: Iterable[Mapping[str, Any]], bank: str) -> str:
    """Questions as GIFT: cells by our columns' names as `exporting` makes them, `options` as pairs."""
    made = [f"// {' '.join(bank.split())}\n"]
    path = ""
    for number, cells in enumerate(questions, 1):
        topic = "/".join(part.replace("/", "//") for name in (bank, cells.get("topic") or "") if (part := " ".join(name.split())))
        if topic != path:
            made.append(f"$CATEGORY: {topic}\n")
            path = topic
        made.append(_written(number, cells))
    return "\n".join(made)


def _written(number: int, cells: Mapping[str, Any]) -> str:
    options, answer = cells["options"], cells["answer"]
    letters = "".join(letter for letter, _ in options)
    about = {name: cells.get(name) or "" for name in ABOUT}
    if letters != LETTERS[: len(letters)]:
        about["letters"] = letters
    whole = f"{cells['case_stem']}\n\n{cells['stem']}" if cells.get("case_stem") else cells["stem"]
    marked = any(is_marked(text) for text in (whole, cells.get("explanation") or "", *(words for _, words in options)))
    kind = "html" if marked else "plain"

    def text(words: str) -> str:
        return _escaped(to_html(words) if marked else words)

    lines = [f"{OURS}{json.dumps(about, ensure_ascii=False)}", f"::{number} {_escaped(' '.join(cells['stem'].split())[:TITLE_LENGTH])}::[{kind}]{text(whole)}{{"]
    if cells["kind"] == "TF":
        lines[-1] += "TRUE" if answer == "A" else "FALSE"
    else:
        for letter, words in options:
            lines.append(f"\t{_sign(letter, answer, several=cells['kind'] == 'X')}[{kind}]{text(words)}")
    if cells.get("explanation"):
        lines.append(f"\t####[{kind}]{text(cells['explanation'])}")
    return "\n".join([*lines, "}\n"])


def _sign(letter: str, answer: str, *, several: bool) -> str:
    if not several:
        return "=" if letter in answer else "~"
    return f"~%{round(100 / len(answer), 5):g}%" if letter in answer else "~%-100%"


def _escaped(text: str) -> str:
    return re.sub(r"[~=#{}:\\]", lambda found: f"\\{found[0]}", text).replace("\n", "\\n")
