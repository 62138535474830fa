"""Elements of WordprocessingML: their qualified names, and which of them are ignored, wrap others, or mark a
revision."""

import re
from functools import cache
from typing import Any

from docx.oxml.ns import qn as _qn

qn = cache(_qn)

IGNORED = frozenset(
    map(
        qn,
        (
            "w:pPr",
            "w:rPr",
            "w:instrText",
            "w:delText",
            "w:delInstrText",
            "w:rt",
            "w:rubyPr",
            "w:sdtPr",
            "w:sdtEndPr",
            "w:fldData",
            "w:sectPr",
            "w:tcPr",
            "w:trPr",
            "w:tblPr",
            "w:tblPrEx",
            "w:tblGrid",
            "w:customXmlPr",
            "w:smartTagPr",
            "w:bookmarkStart",
            "w:bookmarkEnd",
            "w:proofErr",
            "w:permStart",
            "w:permEnd",
            "w:commentRangeStart",
            "w:commentRangeEnd",
            "w:commentReference",
            "w:annotationRef",
            "w:footnoteRef",
            "w:endnoteRef",
            "w:separator",
            "w:continuationSeparator",
            "w:lastRenderedPageBreak",
            "w:softHyphen",
            "w:moveFromRangeStart",
            "w:moveFromRangeEnd",
            "w:moveToRangeStart",
            "w:moveToRangeEnd",
            "w:customXmlInsRangeStart",
            "w:customXmlInsRangeEnd",
            "w:customXmlDelRangeStart",
            "w:customXmlDelRangeEnd",
            "w:customXmlMoveFromRangeStart",
            "w:customXmlMoveFromRangeEnd",
            "w:customXmlMoveToRangeStart",
            "w:customXmlMoveToRangeEnd",
        ),
    )
)
"""Elements that describe how something looks or where it is, and show nothing themselves."""
WRAPPINGS = frozenset(
    map(
        qn,
        (
            "w:hyperlink",
            "w:smartTag",
            "w:sdt",
            "w:sdtContent",
            "w:customXml",
            "w:ins",
            "w:moveTo",
            "w:dir",
            "w:bdo",
            "w:ruby",
            "w:rubyBase",
        ),
    )
)
INSERTED = frozenset(map(qn, ("w:ins", "w:moveTo")))
DELETED = frozenset(map(qn, ("w:del", "w:moveFrom")))
EMBEDDED_FILES = frozenset(map(qn, ("w:altChunk", "w:subDoc")))
_COMPATIBILITY = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
ALTERNATIVES = f"{_COMPATIBILITY}AlternateContent"


def choose_alternative(alternatives: Any) -> Any:
    """Of several ways to show the same content (mc:AlternateContent) the first choice, or else the fallback;
    None if there is neither."""
    choice = alternatives.find(f"{_COMPATIBILITY}Choice")
    return alternatives.find(f"{_COMPATIBILITY}Fallback") if choice is None else choice


def text_value(element: Any) -> str:
    """The value (w:val) of an element; "" if there is no element or no value."""
    return "" if element is None else element.get(qn("w:val"), "")


def int_value(element: Any, default: int) -> int:
    """The value (w:val) of an element as a number of up to four digits; `default` if it isn't one."""
    value = text_value(element)
    return int(value) if re.fullmatch("[0-9]{1,4}", value) else default
