"""Workbooks made by hand, part by part, as Excel, WPS and other programs write them, with what no library
writes."""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def column(number: int) -> str:
    """The letters of a column, counted from 0."""
    letters = ""
    number += 1
    while number:
        number, remainder = divmod(number - 1, 26)
        letters = chr(65 + remainder) + letters
    return letters


def text_cell(text: str, style: int = 0) -> str:
    """A cell of words that stand in the cell itself."""
    return f'<c r="@" s="{style}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def number_cell(value: object, style: int = 0) -> str:
    """A cell of a number."""
    return f'<c r="@" s="{style}"><v>{value}</v></c>'


def rich_text_cell(*runs: tuple[str, str], style: int = 0) -> str:
    """A cell of words in several types: (words, the inside of the type's element)."""
    fonts = [f"<rPr>{font}</rPr>" if font else "" for _, font in runs]
    elements = "".join(
        f'<r>{font}<t xml:space="preserve">{escape(text)}</t></r>'
        for (text, _), font in zip(runs, fonts, strict=True)
    )
    return f'<c r="@" s="{style}" t="inlineStr"><is>{elements}<rPh sb="0" eb="1"><t>yin</t></rPh></is></c>'


def error_cell(name: str) -> str:
    """A cell that shows an error."""
    return f'<c r="@" t="e"><v>{name}</v></c>'


def formula_cell(text: str, value: str | None = None, kind: str = "str") -> str:
    """A cell of a formula, with its result or without."""
    marked = f' t="{kind}"' if value is not None and kind else ""
    result = "" if value is None else f"<v>{escape(value)}</v>"
    return f'<c r="@"{marked}><f>{escape(text)}</f>{result}</c>'


SUP, SUB, STRUCK = '<vertAlign val="superscript"/>', '<vertAlign val="subscript"/>', "<strike/>"


@dataclass
class WorkbookBuilder:
    """A workbook of one sheet. `rows`: cells made by the functions above, None for none; `codes`: number
    formats, `fonts`: the insides of fonts; `styles`: (format or number of a known one, font), the first of
    which must be plain."""

    rows: Sequence[Sequence[str | None]]
    codes: Sequence[str] = ()
    fonts: Sequence[str] = ("",)
    styles: Sequence[tuple[int, int]] = ((0, 0),)
    merged: Sequence[str] = ()
    hidden: Sequence[int] = ()
    hidden_columns: Sequence[tuple[int, int]] = ()
    anchors: Sequence[tuple[int, int, int, int]] = ()
    objects: str = ""
    since_1904: bool = False
    stale: bool = False
    prefix: str = ""
    folder: str = "xl/worksheets"
    namespace: str = MAIN
    row_numbers: bool = True
    more: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The file."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in self._parts().items():
                archive.writestr(name, text)
        return buffer.getvalue()

    def _parts(self) -> dict[str, str]:
        office = RELATED
        stale = ' fullCalcOnLoad="1"' if self.stale else ""
        book = f'<sheets><sheet name="名单" sheetId="1" r:id="rId7"/></sheets><calcPr calcId="1"{stale}/>'
        properties = '<workbookPr date1904="1"/>' if self.since_1904 else ""
        parts = {
            "[Content_Types].xml": f'{HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": _relations(("rId1", f"{office}/officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": (
                f'{HEAD}<workbook xmlns="{self.namespace}" xmlns:r="{RELATED}">{properties}{book}</workbook>'
            ),
            "xl/_rels/workbook.xml.rels": _relations(
                ("rId7", f"{office}/worksheet", f"/{self.folder}/sheet1.xml"),
                ("rId8", f"{office}/styles", "styles.xml"),
            ),
            "xl/styles.xml": self._styles(),
            f"{self.folder}/sheet1.xml": self._sheet(),
        }
        if self.anchors:
            parts[f"{self.folder}/_rels/sheet1.xml.rels"] = _relations(
                ("rId1", f"{office}/drawing", "../odd/d.xml")
            )
            parts[f"{self.folder.rpartition('/')[0]}/odd/d.xml".lstrip("/")] = self._drawing()
        return parts | self.more

    def _styles(self) -> str:
        codes = "".join(
            f'<numFmt numFmtId="{164 + index}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
            for index, code in enumerate(self.codes)
        )
        fonts = "".join(f"<font>{font}</font>" for font in self.fonts)
        styles = "".join(f'<xf numFmtId="{code}" fontId="{font}"/>' for code, font in self.styles)
        return (
            f"{HEAD}<styleSheet "
            f'xmlns="{self.namespace}"><numFmts>{codes}</numFmts><fonts>{fonts}</fonts><cellXfs>{styles}</cellXfs></styleSheet>'
        )

    def _sheet(self) -> str:
        lines = []
        for index, cells in enumerate(self.rows, 1):
            row_content = "".join(
                cell.replace('r="@"', f'r="{column(place)}{index}"' if self.row_numbers else "")
                for place, cell in enumerate(cells)
                if cell
            )
            number_attribute, hidden = (
                f' r="{index}"' if self.row_numbers else "",
                ' hidden="1"' if index in self.hidden else "",
            )
            lines.append(f"<row{number_attribute}{hidden}>{row_content}</row>")
        columns = "".join(
            f'<col min="{first}" max="{last}" hidden="1" width="9"/>' for first, last in self.hidden_columns
        )
        merged = "".join(f'<mergeCell ref="{area}"/>' for area in self.merged)
        drawing = '<drawing r:id="rId1"/>' if self.anchors else ""
        body = (
            f"<cols>{columns}</cols>" * bool(columns)
            + f"<sheetData>{''.join(lines)}</sheetData>"
            + f"<mergeCells>{merged}</mergeCells>" * bool(merged)
            + f'<hyperlinks><hyperlink ref="A1"/></hyperlinks>{drawing}{self.objects}'
        )
        opening = f'<worksheet xmlns="{self.namespace}" xmlns:r="{RELATED}" xmlns:xdr="{DRAWING}">'
        text = f"{opening}{body}</worksheet>"
        if self.prefix:
            text = _prefixed(text, self.prefix).replace(
                f'xmlns="{self.namespace}"', f'xmlns:{self.prefix}="{self.namespace}"'
            )
        return HEAD + text

    def _drawing(self) -> str:
        anchors = "".join(
            f"<xdr:twoCellAnchor><xdr:from>{_corner(first_row, first_column)}</xdr:from>"
            f"<xdr:to>{_corner(last_row, last_column)}</xdr:to><xdr:pic/></xdr:twoCellAnchor>"
            for first_row, first_column, last_row, last_column in self.anchors
        )
        return f'{HEAD}<xdr:wsDr xmlns:xdr="{DRAWING}">{anchors}</xdr:wsDr>'


def _corner(row: int, place: int) -> str:
    return f"<xdr:col>{place}</xdr:col><xdr:colOff>9</xdr:colOff><xdr:row>{row - 1}</xdr:row><xdr:rowOff>9</xdr:rowOff>"


def _relations(*told: tuple[str, str, str]) -> str:
    relations = "".join(
        f'<Relationship Id="{name}" Type="{kind}" Target="{target}"/>' for name, kind, target in told
    )
    return (
        f"{HEAD}<Relationships "
        f'xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>'
    )


def _prefixed(text: str, prefix: str) -> str:
    return re.sub(r"<(/?)(?=[A-Za-z])(?!xdr:)", rf"<\1{prefix}:", text)
