"""Text in a PDF's form fields and annotations: whether there are any, and which of their text has no
appearance stream in the file and has to be drawn."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import pikepdf

HIDDEN_ANNOTATION_FLAGS, PASSWORD_FIELD_FLAG = (
    1 << 1 | 1 << 5,
    1 << 13,
)
"""Flags of hidden annotations, and of password fields, which show asterisks."""
MAX_FIELD_DEPTH = 32


def list_annotations(pdf: pikepdf.Pdf) -> list[pikepdf.Dictionary]:
    """Returns the annotations of all pages, including form fields."""
    annotations: list[pikepdf.Dictionary] = []
    for page in pdf.pages:
        marks = _as_list(page.obj.get("/Annots"))
        annotations += [mark for mark in marks if isinstance(mark, pikepdf.Dictionary)]
    return annotations


def unrendered_texts(pdf: pikepdf.Pdf) -> str:
    """Returns the text, without blanks, normalised (NFKC) and all joined, of visible text and choice fields
    (no password fields) and comments (FreeText) for which the file has no valid appearance. If the form says
    NeedAppearances, no field has one; a comment's counts all the same."""
    form = pdf.Root.get("/AcroForm")
    needs_appearances = isinstance(form, pikepdf.Dictionary) and bool(form.get("/NeedAppearances"))
    return "".join(
        _unrendered_text(mark, needs_appearances=needs_appearances) for mark in list_annotations(pdf)
    )


def _unrendered_text(mark: pikepdf.Dictionary, *, needs_appearances: bool) -> str:
    """Returns the text of a field or comment without appearance, else "". `needs_appearances`: the file's
    appearances of fields are not valid."""
    if _is_hidden(mark) or _has_appearance(mark, needs_appearances=needs_appearances):
        return ""
    if mark.get("/Subtype") == "/FreeText":
        return plain_text(str(mark.get("/Contents", "")))
    return _field_text(mark) if _is_readable_field(mark) else ""


def _is_hidden(mark: pikepdf.Dictionary) -> bool:
    """Whether an annotation is hidden."""
    return _has_flags(mark.get("/F", 0), HIDDEN_ANNOTATION_FLAGS)


def _has_appearance(mark: pikepdf.Dictionary, *, needs_appearances: bool) -> bool:
    """Whether the file has a valid appearance of an annotation; with `needs_appearances` not for fields."""
    return "/AP" in mark and not (needs_appearances and mark.get("/Subtype") == "/Widget")


def _field_text(field: pikepdf.Dictionary) -> str:
    """Returns the values of a field as one text without blanks."""
    values = _as_list(inherited_value(field, "/V"))
    return plain_text("".join(map(_value_text, values)))


def _value_text(value: Any) -> str:
    """Returns the text of a field's value, a text string or a stream of one (ISO 32000 12.7.5.3); "" for any
    other."""
    if isinstance(value, pikepdf.Stream):
        value = pikepdf.String(value.read_bytes())
    return str(value) if isinstance(value, pikepdf.String) else ""


def _is_readable_field(mark: pikepdf.Dictionary) -> bool:
    """Whether an annotation is a text or choice field and no password field."""
    if mark.get("/Subtype") != "/Widget" or inherited_value(mark, "/FT") not in ("/Tx", "/Ch"):
        return False
    return not _has_flags(inherited_value(mark, "/Ff"), PASSWORD_FIELD_FLAG)


def _has_flags(value: Any, flags: int) -> bool:
    """Whether `value` is a number with one of the flags."""
    return isinstance(value, int) and bool(value & flags)


def inherited_value(field: pikepdf.Dictionary, name: str) -> Any:
    """Returns the value of a key of a field or page, or of the nearest parent that has the key; None if none
    has within MAX_FIELD_DEPTH."""
    for _ in range(MAX_FIELD_DEPTH):
        if name in field:
            return field[name]
        parent = field.get("/Parent")
        if not isinstance(parent, pikepdf.Dictionary):
            return None
        field = parent
    return None


def _as_list(value: Any) -> Iterator[Any]:
    """Yields the elements of an array, or the value itself."""
    yield from value if isinstance(value, pikepdf.Array) else [value]


def plain_text(text: str) -> str:
    """Returns a text without blanks, normalised (NFKC)."""
    return "".join(unicodedata.normalize("NFKC", text).split())
