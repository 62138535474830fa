"""What stands in a paragraph of Word's, in our marks: words, sub- and superscript, pictures, formulas, the numbers Word counts by itself.

What we have no mark for is named as a fault, so that nothing that a question's writer sees is left out of the question unseen.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from docx.document import Document
from docx.oxml.ns import qn

from dingkao.errors import Invalid, TooLarge
from dingkao.exams import equations

Keep = Callable[[bytes], str]
"""Keeps a picture and tells its name. Raises Invalid, TooLarge."""
Flaw = tuple[str, str, str]
"""What of a paragraph can't be taken in: of what kind, why, and what to do."""

WRITE_OR_SHOW = "公式请用$…$书写(LaTeX,如$\\frac{a}{b}$),或截图后作为图片插入。"
FORMULA: Flaw = ("公式", "有不能转换的Word公式", WRITE_OR_SHOW)
OBJECT: Flaw = ("公式", "有嵌入的对象(如MathType或公式3.0的公式)", WRITE_OR_SHOW)
FIELD: Flaw = ("公式", "有用域代码(EQ)写的公式", WRITE_OR_SHOW)
BOX: Flaw = ("文本框", "有文本框,其中的文字不能导入", "请把文字移到正文中,删去文本框;图上的文字请与图合成一张图片后插入。")
SHAPE: Flaw = ("图形", "有Word绘制的图形、图表或组合", "请选中图形,复制后以“图片(PNG)”选择性粘贴,再删去原图形。")
LINKED: Flaw = ("图片", "图片没有保存在文档里(链接的图片)", "请重新以“插入图片”的方式放入文档。")
TURNED: Flaw = ("图片", "图片在Word中裁剪或旋转过", "请把裁剪、旋转好的图片另存为PNG或JPG后重新插入。")
VECTOR: Flaw = ("图片", "图片是EMF或WMF格式", "请在Word中右击图片,另存为PNG后重新插入。")
FORMAT: Flaw = ("图片", "不是可以识别的图片", "请另存为PNG或JPG后重新插入。")
STRUCK: Flaw = ("文字", "有加了删除线的文字,不知是否作废", "作废的文字请删去,有用的文字请去掉删除线。")
HIDDEN: Flaw = ("文字", "有隐藏的文字", "不用的文字请删去,有用的文字请取消“隐藏”。")
NOTE: Flaw = ("文字", "有脚注或尾注,其中的文字不能导入", "请把注的内容写进题目,再删去注。")
SYMBOL: Flaw = ("文字", "有特殊字体的符号", "请改用普通字符(如“≥”“α”“√”),或截图后作为图片插入。")
NESTED: Flaw = ("表格", "表格的单元格中又有表格", "请改成一层的表格,或截图后作为图片插入。")

_SKIPPED = frozenset(map(qn, ("w:pPr", "w:rPr", "w:del", "w:moveFrom", "w:instrText", "w:delText", "w:rt", "w:sdtPr", "w:sdtEndPr", "w:fldData")))
_BREAKS = frozenset(map(qn, ("w:br", "w:cr")))
_NOTES = frozenset(map(qn, ("w:footnoteReference", "w:endnoteReference")))
_TEXT_BOX = f"{qn('w:txbxContent')}"
_BLIP, _FRAME = qn("a:blip"), "{urn:schemas-microsoft-com:vml}imagedata"
_CHOICE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_OFF = ("0", "false", "off", "none")
_SYMBOLS = {0xF000 + code: sign for code, sign in (
    *zip(range(0x41, 0x5B), "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True), *zip(range(0x61, 0x7B), "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True),
    (0xA3, "≤"), (0xA5, "∞"), (0xAC, "←"), (0xAD, "↑"), (0xAE, "→"), (0xAF, "↓"), (0xB0, "°"), (0xB1, "±"), (0xB3, "≥"), (0xB4, "×"), (0xB8, "÷"),
    (0xB9, "≠"), (0xBB, "≈"), (0xDE, "⇒"),
)}  # fmt: skip
"""Adobe's Symbol encoding, where Word keeps it (U+F0xx); of other symbol typefaces the same numbers mean something else."""
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_EMF, _WMF = (b" EMF", 40), (b"\xd7\xcd\xc6\x9a", b"\x01\x00\x09\x00", b"\x02\x00\x09\x00")


@dataclass
class Line:
    """A paragraph or a table in our marks, and what of it can't be taken in."""

    text: str
    flaws: list[Flaw] = field(default_factory=list)


@dataclass
class _Field:
    """Where in a field of Word's (fldChar) a paragraph stands: its code, then what it shows."""

    code: str = ""


class Reader:
    """Reads a document's paragraphs and tables one after another; `revised` where changes were found that nobody has accepted."""

    def __init__(self, document: Document, keep: Keep) -> None:
        self.document = document
        self.keep = keep
        self.kept: dict[bytes, str | Flaw] = {}
        self.numbers = _Numbers(document)
        self.fields: list[_Field] = []
        self.revised = False

    def lines(self) -> Iterator[Line]:
        """All of them, in their order."""
        yield from self._blocks(self.document.element.body)

    def _blocks(self, parent: Any) -> Iterator[Line]:
        for block in parent:
            if block.tag == qn("w:p"):
                yield self._paragraph(block)
            elif block.tag == qn("w:tbl"):
                yield self._table(block)
            elif block.tag in (qn("w:sdt"), qn("w:sdtContent"), qn("w:customXml"), qn("w:smartTag")):
                yield from self._blocks(block)

    def _paragraph(self, block: Any) -> Line:
        line = Line("")
        number = self.numbers.next(block)
        line.text = self._inside(block, line)
        if number and (line.text.strip() or line.flaws):
            line.text = f"{number} {line.text.lstrip()}"
        return line

    def _table(self, table: Any) -> Line:
        line = Line("")
        rows = []
        for row in table.iterchildren(qn("w:tr")):
            cells: list[str] = []
            for cell in row.iter(qn("w:tc")):
                if next(cell.iterancestors(qn("w:tbl"))) is not table:
                    _add(line, NESTED)
                    continue
                text = " ".join(" ".join(self._inside(block, line).split()) for block in cell.iterchildren(qn("w:p")))
                merged, span = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}"), cell.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}")
                cells.append("" if merged is not None and merged.get(qn("w:val")) != "restart" else _in_cell(text))
                cells += [""] * (min(_number(span, 1), 50) - 1)
            rows.append(f"|{'|'.join(cells or [''])}|")
            if len(rows) == 1:
                rows.append(f"|{'|'.join('-' for _ in cells or [''])}|")
        line.text = "\n".join(rows)
        return line

    def _inside(self, element: Any, line: Line) -> str:
        return "".join(self._one(child, line) for child in element)

    def _one(self, element: Any, line: Line) -> str:
        tag = element.tag
        if not isinstance(tag, str):
            return ""
        if tag in (qn("w:del"), qn("w:ins"), qn("w:moveFrom"), qn("w:moveTo")):
            self.revised = True
        if tag in _SKIPPED:
            return ""
        if tag == qn("w:r"):
            return self._run(element, line)
        if tag in (f"{equations.MATH}oMath", f"{equations.MATH}oMathPara"):
            return self._formulas(element, line)
        if tag == f"{_CHOICE}AlternateContent":
            choice = element.find(f"{_CHOICE}Choice")
            return "" if choice is None else self._inside(choice, line)
        if tag in (qn("w:drawing"), qn("w:pict")):
            return self._picture(element, line)
        if tag == qn("w:object"):
            return _add(line, OBJECT)
        if tag in _NOTES:
            return _add(line, NOTE)
        if tag == qn("w:fldChar"):
            return self._field(element, line)
        return self._inside(element, line)

    def _run(self, run: Any, line: Line) -> str:
        text = "".join(self._of_run(child, run, line) for child in run)
        if not text.strip():
            # a blank to be filled in, as writers draw it
            return "_" * max(4, len(text)) if text and "\n" not in text and _is_on(run, "u") else text
        if _is_on(run, "strike") or _is_on(run, "dstrike"):
            _add(line, STRUCK)
        if _is_on(run, "vanish"):
            _add(line, HIDDEN)
        raised = run.find(f"{qn('w:rPr')}/{qn('w:vertAlign')}")
        tag = {"subscript": "sub", "superscript": "sup"}.get("" if raised is None else raised.get(qn("w:val"), ""), "")
        return f"<{tag}>{text}</{tag}>" if tag and "![" not in text and "\n" not in text else text

    def _of_run(self, child: Any, run: Any, line: Line) -> str:
        if child.tag == qn("w:t"):
            return self._symbols(child.text or "", _typeface(run), line)
        if child.tag in _BREAKS:
            return "\n" if child.get(qn("w:type"), "textWrapping") == "textWrapping" else ""
        if child.tag in (qn("w:tab"), qn("w:ptab")):
            return "\t"
        if child.tag == qn("w:instrText") and self.fields:
            self.fields[-1].code += child.text or ""
        if child.tag == qn("w:noBreakHyphen"):
            return "-"
        if child.tag == qn("w:sym"):
            return self._symbols(_character(child.get(qn("w:char"), "")), child.get(qn("w:font"), ""), line)
        return self._one(child, line)

    def _symbols(self, text: str, typeface: str, line: Line) -> str:
        if _PRIVATE.search(text) is None:
            return text
        of_symbol = typeface.lower() == "symbol"
        if any(not of_symbol or ord(found) not in _SYMBOLS for found in _PRIVATE.findall(text)):
            return _add(line, SYMBOL)
        return text.translate(_SYMBOLS)

    def _field(self, element: Any, line: Line) -> str:
        kind = element.get(qn("w:fldCharType"))
        if kind == "begin":
            self.fields.append(_Field())
        elif kind == "end" and self.fields and self.fields.pop().code.strip().upper().startswith("EQ"):
            _add(line, FIELD)
        return ""

    def _formulas(self, element: Any, line: Line) -> str:
        formulas = [element] if element.tag.endswith("}oMath") else list(element.iterchildren(f"{equations.MATH}oMath"))
        try:
            return " ".join(f"${equations.latex(formula)}$" for formula in formulas)
        except equations.NotSimple:
            return _add(line, FORMULA)

    def _picture(self, element: Any, line: Line) -> str:
        if next(element.iter(_TEXT_BOX), None) is not None:
            return _add(line, BOX)
        if element.tag == qn("w:pict"):
            shown = list(element.iter(_FRAME))
            names = [one.get(qn("r:id")) for one in shown]
            if not shown and any(one.get("{urn:schemas-microsoft-com:office:office}hr") for one in element.iter()):
                return ""  # a line across the page
        else:
            shown = list(element.iter(_BLIP))
            names = [one.get(qn("r:embed")) for one in shown]
        if len(shown) != 1:
            return _add(line, SHAPE)
        part = self.document.part.related_parts.get(names[0] or "")
        if part is None:
            return _add(line, LINKED)
        if any(one.get(side, "0") not in ("0", "0%") for one in element.iter(qn("a:srcRect")) for side in "ltrb") or any(
            one.get("rot", "0") != "0" or one.get("flipH", "0") in ("1", "true") or one.get("flipV", "0") in ("1", "true") for one in element.iter(qn("a:xfrm"))
        ):  # fmt: skip
            return _add(line, TURNED)
        kept = self._kept(part.blob)
        # the document's own description may be a file's name or tell the answer, so it isn't taken over
        return f"![图](图:{kept})" if isinstance(kept, str) else _add(line, kept)

    def _kept(self, blob: bytes) -> str | Flaw:
        digest = hashlib.sha256(blob).digest()
        if digest not in self.kept:
            self.kept[digest] = self._judged(blob)
        return self.kept[digest]

    def _judged(self, blob: bytes) -> str | Flaw:
        if blob.startswith(_WMF) or blob[_EMF[1] : _EMF[1] + 4] == _EMF[0]:
            return VECTOR
        if not blob.startswith((b"\x89PNG", b"\xff\xd8")):
            return FORMAT
        try:
            return self.keep(blob)
        except TooLarge:
            return ("图片", "图片文件过大", "请缩小到10 MB以内后重新插入。")
        except Invalid as refusal:
            return ("图片", "图片不能导入", refusal.sentence)


class _Numbers:
    """The numbers of Word's own lists, which stand in no text (w:numPr): 1. and A. count on as Word would show them."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.counts: dict[str, dict[int, int]] = {}
        self.seen: set[str] = set()
        self.lists: dict[str, tuple[str, dict[int, Any], dict[int, int]]] = {}
        self.styles: dict[str, Any] = {}
        for style in document.styles.element.iterchildren(qn("w:style")):
            self.styles[style.get(qn("w:styleId"), "")] = style
        numbering = next((part for part in document.part.package.iter_parts() if str(part.partname) == "/word/numbering.xml"), None)
        root = getattr(numbering, "element", None)
        if root is None:
            return
        levels = {
            one.get(qn("w:abstractNumId")): {_level(level): level for level in one.iterchildren(qn("w:lvl"))} for one in root.iterchildren(qn("w:abstractNum"))
        }
        for one in root.iterchildren(qn("w:num")):
            of = one.find(qn("w:abstractNumId"))
            abstract = "" if of is None else of.get(qn("w:val"), "")
            over = list(one.iterchildren(qn("w:lvlOverride")))
            starts = {_level(level): _number(start, 1) for level in over if (start := level.find(qn("w:startOverride"))) is not None}
            own = {_level(level): made for level in over if (made := level.find(qn("w:lvl"))) is not None}
            self.lists[one.get(qn("w:numId"), "")] = (abstract, levels.get(abstract, {}) | own, starts)

    def next(self, paragraph: Any) -> str:
        """The number of this paragraph; none where it has none, or a bullet."""
        name, level = self._place(paragraph)
        if name not in self.lists:
            return ""
        abstract, levels, starts = self.lists[name]
        counts = self.counts.setdefault(abstract, {})
        if name not in self.seen:
            self.seen.add(name)
            counts.update({one: start - 1 for one, start in starts.items()})
        first = _number(levels[level].find(qn("w:start")), 1) if level in levels else 1
        counts[level] = counts.get(level, first - 1) + 1
        for deeper in [one for one in counts if one > level]:
            del counts[deeper]
        shown = levels[level].find(qn("w:lvlText")) if level in levels else None
        form = self._form(levels, level)
        if shown is None or form in ("bullet", "none"):
            return ""
        return re.sub("%([1-9])", lambda found: _counted(counts.get(int(found[1]) - 1, 1), self._form(levels, int(found[1]) - 1)), shown.get(qn("w:val"), ""))

    def _form(self, levels: dict[int, Any], level: int) -> str:
        found = levels[level].find(qn("w:numFmt")) if level in levels else None
        return "decimal" if found is None else found.get(qn("w:val"), "decimal")

    def _place(self, paragraph: Any) -> tuple[str, int]:
        """Of which list a paragraph is, and how deep; by itself or by its style."""
        own = paragraph.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
        style = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        name, seen = "" if style is None else style.get(qn("w:val"), ""), set[str]()
        while own is None and name in self.styles and name not in seen:
            seen.add(name)
            own = self.styles[name].find(f"{qn('w:pPr')}/{qn('w:numPr')}")
            based = self.styles[name].find(qn("w:basedOn"))
            name = "" if based is None else based.get(qn("w:val"), "")
        if own is None:
            return "", 0
        number, level = own.find(qn("w:numId")), own.find(qn("w:ilvl"))
        return ("" if number is None else number.get(qn("w:val"), "")), _number(level, 0)


def _counted(number: int, form: str) -> str:
    number = max(number, 0)
    if form in ("upperLetter", "lowerLetter"):
        letter = chr(ord("A") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter if form == "upperLetter" else letter.lower()
    if form == "decimalEnclosedCircle" and 1 <= number <= 20:
        return chr(0x2460 + number - 1)
    if form in ("chineseCounting", "chineseCountingThousand", "ideographDigital", "taiwaneseCountingThousand") and 1 <= number <= 99:
        digits = "零一二三四五六七八九"
        tens, ones = divmod(number, 10)
        return (digits[tens] if tens > 1 else "") + ("十" if tens else "") + (digits[ones] if ones else "")
    return str(number)


def _level(element: Any) -> int:
    found = element.get(qn("w:ilvl"), "0")
    return int(found) if re.fullmatch("[0-9]{1,4}", found) else 0


def _number(element: Any, default: int) -> int:
    found = "" if element is None else element.get(qn("w:val"), "")
    return int(found) if re.fullmatch("[0-9]{1,4}", found) else default


def _character(code: str) -> str:
    """A symbol typeface's character (w:sym), where Word keeps it in text; of what is no number, one that no typeface has."""
    number = int(code, 16) if re.fullmatch("[0-9A-Fa-f]{1,4}", code) else 0xE000
    return chr(number | 0xF000 if number < 0x100 else number)


def _is_on(run: Any, name: str) -> bool:
    found = run.find(f"{qn('w:rPr')}/{qn('w:' + name)}")
    return found is not None and found.get(qn("w:val"), "1") not in _OFF


def _typeface(run: Any) -> str:
    found = run.find(f"{qn('w:rPr')}/{qn('w:rFonts')}")
    return "" if found is None else str(found.get(qn("w:ascii")) or found.get(qn("w:hAnsi")) or "")


def _in_cell(text: str) -> str:
    """A cell's words, whose bars would end the cell: within a formula in LaTeX's own word, else as a stroke."""
    return re.sub(r"\$[^$\n]+\$", lambda found: found[0].replace("|", "\\vert "), text).replace("|", "/")


def _add(line: Line, flaw: Flaw) -> str:
    if flaw not in line.flaws:
        line.flaws.append(flaw)
    return ""
