"""Questions from Word (.docx), as question writers lay them out: numbered, their options lettered, 答案 and 解析 below; and the template.

    A1型题
    1. 题干
    A. 甲 …
    答案:A
    解析:…

Above the first question of a part, 科目, 执业类别, 考点, 难度 and 用途 hold for all that follow; below a question for that one. A case begins
with (2~3题共用题干), a list of options for B1 with (4~5题共用备选答案). Sub- and superscript, pictures and simple formulas are kept where they
stand, a table becomes lines between bars, and Word's own numbering counts as written. A question with something that can't be taken in is
refused (`paragraphs`), for without it it would be another question.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import docx
from docx.document import Document
from docx.oxml.exceptions import InvalidXmlError

from dingkao.errors import Invalid, TooLarge
from dingkao.exams.paragraphs import Flaw, Keep, Line, Reader
from dingkao.outside.sheets import MAX_BYTES, Fault, Report, Row
from dingkao.tenants.secrets import normalised

PART = "word/document.xml"
MAX_PART = 64 * 1024 * 1024
NAMES = {
    "答案": "answer", "正确答案": "answer", "参考答案": "answer", "标准答案": "answer", "解析": "explanation", "答案解析": "explanation", "题型": "kind", "科目": "subject",
    "执业类别": "category", "类别": "category", "考点": "topic", "知识点": "topic", "章节": "topic", "难度": "difficulty", "用途": "purpose",
}  # fmt: skip
HOLDS_ON = ("kind", "subject", "category", "topic", "difficulty", "purpose")
TYPE = r"A1|A2|A3/A4|A3|A4|B1|X|单选|单项选择|多选|多项选择|判断|是非"

_QUESTION = re.compile(r"([0-9]{1,4})\s*[.\uff0e\u3001)\uff09]\s*(.*)", re.DOTALL)
_OPTION = re.compile(r"[(\uff08\[\u3010]?[A-Ja-j\uff21-\uff2a][.\uff0e\u3001)\uff09:\uff1a\]\u3011]\s*\S", re.DOTALL)
_NAMED = re.compile(rf"[\u3010\[]?({'|'.join(sorted(NAMES, key=len, reverse=True))})(?:[\u3011\]][:\uff1a]?|[:\uff1a])\s*(.*)", re.DOTALL)
_TYPE = re.compile(rf"[一二三四五六七八九十]{{0,3}}[、.\uff0e]?\s*[\u3010(\uff08\[]?({TYPE})\s*(?:型题|型|题)[^\n]{{0,40}}", re.IGNORECASE)
_SHARED = re.compile(r"[(\uff08\[\u3010]?\s*第?\s*([0-9]{1,4})\s*[~\uff5e\-\u2013\u2014\uff0d至到]\s*([0-9]{1,4})\s*题?\s*共用\s*(题干|病例|备选答案|选项)\s*[)\uff09\]\u3011]?[:\uff1a]?\s*(.*)", re.DOTALL)


@dataclass
class _Reading:
    """What has been read of the document so far."""

    held: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] | None = None
    number: int = 0
    line: int = 0
    part: str = ""
    shared: dict[str, str] | None = None
    flaw: Flaw | None = None
    shared_flaw: Flaw | None = None
    until: int = 0
    groups: int = 0


def is_document(content: bytes) -> bool:
    """Whether a file is one of Word's."""
    if not content.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return PART in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read(content: bytes, report: Report, keep: Keep | None = None) -> Iterator[Row]:
    """The questions of a document as rows like a sheet's, numbered by the paragraph they begin at; what is no question is told in `report`.
    A row that can't be taken in whole has the flaw among its cells, as `refused`. Pictures are given to `keep`; without it they are only
    named, for a look at the file. Raises Invalid, TooLarge."""
    reading, found = _Reading(), False
    reader = Reader(_opened(content), keep or _named)
    for number, line in enumerate(reader.lines(), 1):
        for row in _taken(reading, number, line, report):
            found = True
            yield row
    if reader.revised:
        report.warnings.append(Fault(0, "修订", "文档中有没有接受的修订", "已按全部接受后的文字导入;请核对,或在Word中处理修订后重新导入。"))
    if reading.cells:
        found = True
        yield _row(reading)
    if not found:
        raise Invalid("没有在文档中找到试题。请下载Word模板,按其中的格式编写:题号、题干、选项、答案各占一行。")


def _named(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest()[:32]


def _opened(content: bytes) -> Document:
    broken = Invalid("文件已损坏或不是Word文档(.docx)。请用Word打开后另存为新文件,再上传。")
    if len(content) > MAX_BYTES:
        raise TooLarge(f"文件超过{MAX_BYTES // 1024 // 1024} MB,请分成几个文件上传。")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(entry.file_size > MAX_PART for entry in archive.infolist()):
                raise TooLarge("文件解开后过大,无法导入。请去掉图片,或分成几个文件上传。")
        return docx.Document(io.BytesIO(content))
    except (zipfile.BadZipFile, InvalidXmlError, KeyError, ValueError, OSError, SyntaxError) as fault:
        raise broken from fault


def _taken(reading: _Reading, number: int, line: Line, report: Report) -> Iterator[Row]:
    """Take one paragraph; a question that is complete with it comes out."""
    text = line.text.strip()
    if text:
        yield from _worded(reading, number, text, report)
    for kind, reason, remedy in line.flaws:
        if reading.cells is not None:
            reading.flaw = reading.flaw or (kind, reason, remedy)
        elif reading.shared is not None and reading.part:
            reading.shared_flaw = reading.shared_flaw or (kind, reason, remedy)
        else:
            report.warnings.append(Fault(number, kind, f"{reason},不在任何题目之下", f"不是题目的内容可以不理会;否则{remedy}"))


def _worded(reading: _Reading, number: int, text: str, report: Report) -> Iterator[Row]:
    if found := _SHARED.fullmatch(text):
        yield from _ended(reading)
        reading.groups += 1
        reading.until = int(found[2])
        of_case = found[3] in ("题干", "病例")
        reading.shared_flaw = None
        reading.shared = {"group": f"{found[1]}~{found[2]}题组{reading.groups}", "case_stem" if of_case else "options": found[4]}
        reading.part = "case_stem" if of_case else "options"
    elif found := _TYPE.fullmatch(text):
        yield from _ended(reading)
        reading.held = {"kind": normalised(found[1])}
        reading.shared = reading.shared_flaw = None
    elif found := _QUESTION.fullmatch(text):
        yield from _ended(reading)
        reading.number, reading.line = int(found[1]), number
        if reading.shared and reading.number > reading.until:
            reading.shared = reading.shared_flaw = None
        reading.cells, reading.part = {"stem": found[2]}, "stem"
    elif found := _NAMED.fullmatch(text):
        name = NAMES[found[1]]
        if reading.cells is not None:
            reading.cells[name], reading.part = found[2], name
        elif name in HOLDS_ON:
            reading.held[name] = found[2]
        else:
            report.warnings.append(Fault(number, found[1], "不在任何题目之下", "请把这一行放在题目的选项之后。"))
    elif _OPTION.match(text) and reading.part not in ("answer", "explanation"):
        _append(reading, "options", text)
        reading.part = "options"
    elif reading.cells is not None or (reading.shared is not None and reading.part):
        _append(reading, reading.part, text)
    elif number > 1 and len(text) > 1:
        report.warnings.append(Fault(number, "文字", f"没有用到“{text[:20]}”", "不是题目的内容可以不理会;是题目的,请在行首写上题号,如“1.”。"))


def _append(reading: _Reading, part: str, text: str) -> None:
    into = reading.cells if reading.cells is not None else reading.shared
    if into is not None:
        into[part] = f"{into[part]}\n{text}" if into.get(part) else text


def _ended(reading: _Reading) -> Iterator[Row]:
    if reading.cells is not None:
        yield _row(reading)
        reading.cells = reading.flaw = None
    reading.part = ""


def _row(reading: _Reading) -> Row:
    assert reading.cells is not None  # noqa: S101 - the callers have looked
    cells: dict[str, Any] = reading.held | (reading.shared or {}) | reading.cells
    if reading.shared and "options" in reading.shared and "options" not in reading.cells:
        cells.setdefault("kind", "B1")
    if flaw := reading.flaw or reading.shared_flaw:
        cells["refused"] = flaw
    return Row(reading.line, cells, f"第{reading.number}题")


def template() -> bytes:
    """The template: each layout once, explained, with questions that may be left standing as examples or taken out."""
    document = docx.Document()
    document.add_heading("定考题库Word模板", 0)
    document.add_paragraph("说明: 每题以题号开头,选项、答案、解析各另起一行。以下示例题请删去后再上传。上标、下标用Word自带的格式即可;公式写成LaTeX,放在两个$之间,如$\\frac{a}{b}$;简单的Word公式也可导入;图片(jpg或png,10 MB以内)直接插入到题干、病例、选项或解析中,以“嵌入型”放在要显示的地方,不要裁剪,不要用文本框或绘图。题号和选项字母可以用Word的自动编号。不能导入的内容,会连同所在的题目列在导入报告里。")
    for line in EXAMPLE.strip().split("\n"):
        document.add_paragraph(line)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


EXAMPLE = """
一、A1型题
科目:业务水平
执业类别:临床
1. 成人正常体温(腋测法)的范围是
A. 35.0~36.0℃
B. 36.0~37.0℃
C. 37.3~38.0℃
D. 38.1~39.0℃
答案:B
解析:腋测法正常值为36.0~37.0℃。
考点:体格检查
难度:易

二、A3/A4型题
执业类别:临床
(2~3题共用题干)
患者男,56岁。突发胸骨后压榨样疼痛2小时,含服硝酸甘油不缓解。
2. 首选的检查是
A. 心电图
B. 胸部X线片
C. 腹部超声
D. 胃镜
答案:A
3. 确诊后应尽快进行的治疗是
A. 抑酸治疗
B. 再灌注治疗
C. 抗感染治疗
D. 观察
答案:B

三、B1型题
科目:公共知识
(4~5题共用备选答案)
A. 尊重自主
B. 有利
C. 不伤害
D. 公正
4. 手术前取得患者知情同意,体现的原则是
答案:A
5. 合理分配卫生资源,体现的原则是
答案:D

四、X型题
科目:公共知识
6. 属于医师在执业活动中履行的义务有
A. 遵守法律、法规
B. 保护患者隐私
C. 宣传推广个人诊所
D. 努力钻研业务
答案:ABD

五、判断题
科目:公共知识
7. 医师可以依法在执业活动中拒绝出具虚假证明文件。
答案:正确
"""
