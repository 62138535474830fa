"""Pictures in a Word document: which drawings are one picture that can be stored, and storing them."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from docx.document import Document

from dingkao.errors import InvalidInput, TooLarge
from dingkao.question_banks.importers.document_lines import (
    DocumentLine,
)
from dingkao.question_banks.importers.word_elements import qn
from dingkao.question_banks.importers.word_problems import (
    FORMAT,
    LINKED,
    MEDIA,
    SHAPE,
    TEXT_BOX,
    TRANSFORMED_PICTURE,
    VECTOR,
    ParagraphProblem,
)

SavePicture = Callable[[bytes], str]
"""Stores a picture and returns its name. Raises InvalidInput, TooLarge."""
PREVIEW_NAME_LENGTH = 32
_MEDIA_ENDINGS = (
    "}videoFile",
    "}audioFile",
    "}wavAudioFile",
    "}quickTimeFile",
    "}webVideoPr",
)
_TEXT_BOX_CONTENT = qn("w:txbxContent")
_DRAWING_IMAGE = qn("a:blip")
_VML_IMAGE = "{urn:schemas-microsoft-com:vml}imagedata"
_HORIZONTAL_RULE = "{urn:schemas-microsoft-com:office:office}hr"
_EMF_SIGNATURE, _EMF_SIGNATURE_OFFSET = b" EMF", 40
_WMF_SIGNATURES = (
    b"\xd7\xcd\xc6\x9a",
    b"\x01\x00\x09\x00",
    b"\x02\x00\x09\x00",
)
_READABLE_SIGNATURES = (b"\x89PNG", b"\xff\xd8")
_UNCROPPED = frozenset({"0", "0%"})
_TRUE = ("1", "true")
_TURNED_STYLE = re.compile(r"(?:^|;)\s*(?:rotation|flip)\s*:\s*(?!0\s*(?:;|$))")


class PictureReader:
    """Reads the pictures of a document; one that occurs several times is stored once. `results`: digest → the
    picture's name, or why it can't be stored. What `save` raises besides InvalidInput and TooLarge comes
    out."""

    def __init__(self, document: Document, save: SavePicture) -> None:
        self.document = document
        self.save = save
        self.results: dict[bytes, str | ParagraphProblem] = {}

    def read(self, element: Any, line: DocumentLine) -> str:
        """A drawing (w:drawing, w:pict) in our markup. What can't be imported is added to the problems of
        `line`."""
        if next(element.iter(_TEXT_BOX_CONTENT), None) is not None:
            return line.add_problem(TEXT_BOX)
        if _has_media(element):
            return line.add_problem(MEDIA)
        if element.tag == qn("w:pict"):
            return self._read_vml(element, line)
        return self._read_images(
            element,
            list(element.iter(_DRAWING_IMAGE)),
            "r:embed",
            line,
        )

    def _read_vml(self, element: Any, line: DocumentLine) -> str:
        """A drawing of older documents (w:pict) in our markup; "" for a line across the page, "" and a
        problem of `line` for what can't be imported."""
        images = list(element.iter(_VML_IMAGE))
        if not images and _is_horizontal_rule(element):
            return ""
        return self._read_images(element, images, "r:id", line)

    def _read_images(
        self,
        element: Any,
        images: Sequence[Any],
        reference_name: str,
        line: DocumentLine,
    ) -> str:
        """The only image of a drawing in our markup; another number of them can't be imported, a problem of
        `line`. `reference_name`: the attribute with the id of the image's relationship."""
        if len(images) != 1:
            return line.add_problem(SHAPE)
        reference = images[0].get(qn(reference_name), "")
        return self._read_image(element, images[0], reference, line)

    def _read_image(
        self,
        element: Any,
        image: Any,
        reference: str,
        line: DocumentLine,
    ) -> str:
        """An image of a drawing in our markup, stored if it wasn't yet; "" and a problem of `line` if it
        isn't in the file, is shown cropped or turned, or can't be stored. `reference`: the id of its
        relationship."""
        part = self.document.part.related_parts.get(reference)
        if part is None:
            return line.add_problem(LINKED)
        if _is_transformed(element, image):
            return line.add_problem(TRANSFORMED_PICTURE)
        name = self._save_once(part.blob)
        # the document's own description is not imported: it may be a file's name or tell the answer
        return f"![图](图:{name})" if isinstance(name, str) else line.add_problem(name)

    def _save_once(self, content: bytes) -> str | ParagraphProblem:
        """The name of a picture, which is stored when it first occurs, or the problem if it can't be
        stored."""
        digest = hashlib.sha256(content).digest()
        if digest not in self.results:
            self.results[digest] = save_or_problem(content, self.save)
        return self.results[digest]


def save_or_problem(content: bytes, save: SavePicture) -> str | ParagraphProblem:
    """The name under which `save` stores a picture, or the problem if it is neither PNG nor JPEG or `save`
    raises InvalidInput or TooLarge. Raises whatever else `save` does."""
    if _is_vector(content):
        return VECTOR
    if not content.startswith(_READABLE_SIGNATURES):
        return FORMAT
    try:
        return save(content)
    except TooLarge:
        return (
            "图片",
            "图片文件过大",
            "请缩小到10 MB以内后重新插入。",
        )
    except InvalidInput as refusal:
        return ("图片", "图片不能导入", refusal.message)


def _is_vector(content: bytes) -> bool:
    """Whether a picture is WMF or EMF."""
    return content.startswith(_WMF_SIGNATURES) or content.startswith(_EMF_SIGNATURE, _EMF_SIGNATURE_OFFSET)


def preview_picture_name(picture: bytes) -> str:
    """A name, as long as a stored picture's but another, for a picture that is not stored, in a preview of a
    file."""
    return hashlib.sha256(picture).hexdigest()[:PREVIEW_NAME_LENGTH]


def _has_media(element: Any) -> bool:
    """Whether a drawing plays a sound or a video."""
    return any(isinstance(part.tag, str) and part.tag.endswith(_MEDIA_ENDINGS) for part in element.iter())


def _is_horizontal_rule(element: Any) -> bool:
    """Whether a drawing is a line across the page."""
    return any(part.get(_HORIZONTAL_RULE) for part in element.iter())


def _is_transformed(element: Any, image: Any) -> bool:
    """Whether Word shows a picture cropped, turned or mirrored, and thus differently from the stored file."""
    return _is_cropped(element, image) or _is_turned(element)


def _is_cropped(element: Any, image: Any) -> bool:
    """Whether a picture is cropped, in a drawing (a:srcRect) or in VML (crop…)."""
    margins = [source.get(side, "0") for source in element.iter(qn("a:srcRect")) for side in "ltrb"]
    vml_margins = [image.get(f"crop{side}", "0") for side in ("left", "top", "right", "bottom")]
    return not _UNCROPPED.issuperset(margins + vml_margins)


def _is_turned(element: Any) -> bool:
    """Whether a picture is turned or mirrored, in a drawing (a:xfrm) or in VML (style)."""
    if any(map(_is_turning, element.iter(qn("a:xfrm")))):
        return True
    # a comment within the drawing has no attributes: lxml gives None for it, whatever the default
    return any(_TURNED_STYLE.search(part.get("style") or "") for part in element.iter())


def _is_turning(transform: Any) -> bool:
    """Whether a transformation (a:xfrm) turns or mirrors."""
    if transform.get("rot", "0") != "0":
        return True
    return transform.get("flipH", "0") in _TRUE or transform.get("flipV", "0") in _TRUE
