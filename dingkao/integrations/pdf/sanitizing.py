"""Rewrites an uploaded PDF: a few hundred kilobytes may expand to gigabytes, crash the parser, or show
something else after rewriting.

It runs in a sandbox (`runner`). PDFium, which has Chinese fonts, draws forms and annotations into the pages;
qpdf then writes the pages without scripts, attachments, actions and metadata; and the result is drawn and
compared with the original, page by page, and refused if it differs.
"""

import contextlib
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pikepdf
import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image, ImageChops, ImageStat

from dingkao.errors import InvalidInput
from dingkao.integrations.pdf.form_text import (
    HIDDEN_ANNOTATION_FLAGS,
    inherited_value,
    list_annotations,
    plain_text,
    unrendered_texts,
)

KEPT_PAGE_KEYS = (
    "/Type",
    "/Contents",
    "/Resources",
    "/MediaBox",
    "/CropBox",
    "/Rotate",
    "/UserUnit",
    "/Group",
    "/Parent",
)
RENDERED_PAGE_KEYS = (
    "/Contents",
    "/Resources",
    "/MediaBox",
    "/CropBox",
    "/Rotate",
    "/UserUnit",
    "/Group",
)
ACTION_KEYS = (
    "/AA",
    "/OpenAction",
    "/JS",
    "/JavaScript",
    "/AF",
    "/EF",
    "/EmbeddedFiles",
    "/PieceInfo",
    "/Metadata",
    "/Launch",
    "/RichMediaContent",
)
APPEARANCE_SCALE = 0.05
"""The scale at which a page is drawn only for the side effects of drawing."""
MAX_RENDER_SIDE, TILE_SIZE = 1000, 4
MAX_TILE_DIFFERENCE, MAX_MEAN_DIFFERENCE = 16, 1.5
"""MAX_RENDER_SIDE: the longer side in pixels of a page drawn for comparison. TILE_SIZE: pages are compared in
small tiles, so that even a missing thin line changes one much. MAX_TILE_DIFFERENCE and MAX_MEAN_DIFFERENCE:
how much the greys (0 to 255) of a page may differ from the original, in one tile and on average.
"""
MAX_DECOMPRESSED, MAX_COMPRESSION_RATIO, MAX_GROWTH = (
    64 * 1024 * 1024,
    100,
    512 * 1024,
)
"""Limits for a PDF of n bytes: it may expand to MAX_DECOMPRESSED + MAX_COMPRESSION_RATIO × n bytes, and have
2 × n + MAX_GROWTH bytes after rewriting."""
MAX_PIXELS = 40_000_000
READ_SIZE = 1024 * 1024
PRINT_TO_PDF_ADVICE = "请打印为PDF后上传（打开文件，选择“打印”，打印机选“另存为PDF”），或改为上传图片。"
UNREADABLE_PDF_MESSAGE = "这份PDF无法打开，请重新导出后上传，或改为上传图片。"
FORM_FIELD = "proof"


def sanitize_pdf(content: bytes, max_pages: int) -> bytes:
    """Returns the pages of a PDF (at most `max_pages`), without scripts, attachments, actions and metadata;
    forms and annotations become part of the pages, hidden ones are left out. To be called in a sandbox.
    Raises InvalidInput (field "proof") for a PDF that can't be opened, has a password, too many pages or too
    much in it, or would show something else; MemoryError."""
    try:
        has_annotations, field_text = _inspect(content, max_pages)
        sanitized = _strip(_flatten(content) if has_annotations else content)
        _require_moderate_growth(content, sanitized)
        is_equal = _renders_equal(content, sanitized) and _contains_text(sanitized, field_text)
    except pikepdf.PasswordError:
        raise InvalidInput("PDF设有密码，请去除密码后重新上传。", FORM_FIELD) from None
    except (
        pikepdf.PdfError,
        pypdfium2.PdfiumError,
        RecursionError,
    ) as fault:
        raise InvalidInput(UNREADABLE_PDF_MESSAGE, FORM_FIELD) from fault
    if not is_equal:
        raise InvalidInput(
            f"这份PDF转换后与原件不一致（如表单、批注或图层），不能保存。{PRINT_TO_PDF_ADVICE}",
            FORM_FIELD,
        )
    return sanitized


def _require_moderate_growth(content: bytes, sanitized: bytes) -> None:
    """Raises InvalidInput if a PDF is much larger after rewriting."""
    if len(sanitized) > len(content) * 2 + MAX_GROWTH:
        raise InvalidInput(
            f"这份PDF过于复杂，不能保存。{PRINT_TO_PDF_ADVICE}",
            FORM_FIELD,
        )


def _renders_equal(content: bytes, written: bytes) -> bool:
    """Whether both files show the same on every page. Only the first page, and pages whose parts have
    changed, are drawn, because drawing a long scan is slow. Raises errors of pikepdf and pypdfium2,
    RecursionError, MemoryError."""
    digests = _page_digests(content)
    rewritten_digests = _page_digests(written)
    if len(digests) != len(rewritten_digests):
        return False
    original = pypdfium2.PdfDocument(content)
    rewritten = pypdfium2.PdfDocument(written)
    original.init_forms()
    return all(
        _is_similar(
            _render_page(original[index]),
            _render_page(rewritten[index]),
        )
        for index in _compared_pages(digests, rewritten_digests)
    )


def _compared_pages(
    digests: Sequence[list[bytes]],
    rewritten_digests: Sequence[list[bytes]],
) -> list[int]:
    """Returns the indices of the pages to be drawn: the first, and those whose digests differ."""
    pages = enumerate(zip(digests, rewritten_digests, strict=True))
    return [index for index, (before, after) in pages if index == 0 or before != after]


def _contains_text(written: bytes, text: str) -> bool:
    """Whether all characters of `text`, which has no blanks, are on the pages."""
    return not text or set(text) <= set(_page_text(written))


def _page_text(content: bytes) -> str:
    """Returns the text on the pages, without blanks."""
    pages = pypdfium2.PdfDocument(content)
    return plain_text("".join(page.get_textpage().get_text_range() for page in pages))


def _page_digests(content: bytes) -> list[list[bytes]]:
    """Returns, for each page, the digests of its parts that affect how it is drawn. Raises errors of pikepdf,
    RecursionError for objects nested too deeply, MemoryError."""
    with _open_pdf(content) as pdf:
        digests: dict[tuple[int, int], bytes] = {}
        layers = _object_digest(pdf.Root.get("/OCProperties"), digests)
        return [
            [
                layers,
                _object_digest(page.obj.get("/Annots"), digests),
                *(_object_digest(inherited_value(page.obj, name), digests) for name in RENDERED_PAGE_KEYS),
            ]
            for page in pdf.pages
        ]


def _object_digest(value: Any, known: dict[tuple[int, int], bytes]) -> bytes:
    """Returns a digest of an object and everything that it refers to. `known`: identity → digest of objects
    seen before, or their order of appearance while they are unfinished (references may be circular). Raises
    RecursionError for objects nested too deeply."""
    identity = _object_identity(value)
    if identity in known:
        return known[identity]
    if identity:
        known[identity] = b"%d" % len(known)
    digest = hashlib.sha256()
    for prefix, child in _children(value):
        digest.update(prefix + _object_digest(child, known))
    digest.update(_own_bytes(value))
    if identity:
        known[identity] = digest.digest()
    return digest.digest()


def _object_identity(value: Any) -> Any:
    """Returns object and generation number of an indirect object; None for a direct one."""
    return value.objgen if isinstance(value, pikepdf.Object) and value.is_indirect else None


def _children(value: Any) -> list[tuple[bytes, Any]]:
    """Returns the objects in a dictionary (with their keys) or array, without actions."""
    if isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
        keys = sorted(set(value.keys()) - {*ACTION_KEYS, "/Parent", "/Length"})
        return [(key.encode(), value[key]) for key in keys]
    if isinstance(value, pikepdf.Array):
        return [(b"", element) for element in value]
    return []


def _own_bytes(value: Any) -> bytes:
    """Returns the content of an object apart from its children: the stored bytes of a stream, a simple value,
    or b"" for a dictionary or array."""
    if isinstance(value, pikepdf.Stream):
        return bytes(value.read_raw_bytes())
    if isinstance(value, pikepdf.Dictionary | pikepdf.Array):
        return b""
    return repr(value).encode()


@contextlib.contextmanager
def _open_pdf(content: bytes) -> Iterator[pikepdf.Pdf]:
    """Open the PDF. Raises MemoryError also if qpdf ignored a part of it for lack of memory, of which it only
    warns."""
    with pikepdf.open(io.BytesIO(content)) as pdf:
        yield pdf
        if any("bad_alloc" in str(warning) for warning in pdf.get_warnings()):
            raise MemoryError


def _inspect(content: bytes, max_pages: int) -> tuple[bool, str]:
    """Returns whether the PDF has forms or annotations, and the text of its fields that has to be drawn.
    Raises InvalidInput for a PDF that isn't accepted, errors of pikepdf for one that can't be opened."""
    with _open_pdf(content) as pdf:
        _require_static_pages(pdf, max_pages)
        _refuse_decompression_bomb(pdf, len(content))
        return bool(list_annotations(pdf)), unrendered_texts(pdf)


def _require_static_pages(pdf: pikepdf.Pdf, max_pages: int) -> None:
    """Raises InvalidInput for a PDF with no pages, with more than `max_pages`, or whose pages are created
    when it is opened (XFA)."""
    if len(pdf.pages) > max_pages:
        raise InvalidInput(f"PDF超过{max_pages}页，请只上传需要的页。", FORM_FIELD)
    if not pdf.pages:
        raise InvalidInput("PDF里没有页面，请重新导出后上传。", FORM_FIELD)
    if pdf.Root.get("/NeedsRendering"):
        raise InvalidInput(
            f"这份PDF是动态表单（XFA），不能直接保存。{PRINT_TO_PDF_ADVICE}",
            FORM_FIELD,
        )


def _refuse_decompression_bomb(pdf: pikepdf.Pdf, size: int) -> None:
    """Raises InvalidInput for a PDF whose streams expand to far more than its size, or which has pictures
    with too many pixels. Only deflated streams are expanded no further than the limit; others have no limit
    but the memory of the sandbox."""
    remaining_bytes = MAX_DECOMPRESSED + MAX_COMPRESSION_RATIO * size
    for stream in pdf.objects:
        if isinstance(stream, pikepdf.Stream):
            _require_moderate_picture(stream)
            remaining_bytes -= _decompressed_size(stream, remaining_bytes)
        if remaining_bytes < 0:
            raise InvalidInput(
                f"PDF解开后过大，不能保存。{PRINT_TO_PDF_ADVICE}",
                FORM_FIELD,
            )


def _require_moderate_picture(stream: pikepdf.Stream) -> None:
    """Raises InvalidInput for a picture with more than MAX_PIXELS."""
    width, height = (stream.get(name, 0) for name in ("/Width", "/Height"))
    if isinstance(width, int) and isinstance(height, int) and width * height > MAX_PIXELS:
        raise InvalidInput(
            "PDF中的图片过大，请降低扫描分辨率（如300dpi）后重新上传。",
            FORM_FIELD,
        )


def _decompressed_size(stream: pikepdf.Stream, limit: int) -> int:
    """Returns the number of bytes to which a stream expands; of one compressed as a picture, its stored size.
    Decompression of deflated data stops soon after `limit` bytes."""
    raw = bytes(stream.read_raw_bytes())
    if stream.get("/Filter") in (
        pikepdf.Name.FlateDecode,
        pikepdf.Array([pikepdf.Name.FlateDecode]),
    ):
        return _inflated_size(raw, limit)
    try:
        return len(stream.read_bytes())
    except pikepdf.PdfError:  # compressed as a picture, such as JPEG
        return len(raw)


def _inflated_size(deflated: bytes, limit: int) -> int:
    """Returns the number of bytes to which deflated data expand; more than `limit` if there are more, because
    decompression stops soon after. Of damaged data what could be read, at least the size of what is left."""
    unfolding, length, raw = zlib.decompressobj(), 0, deflated
    try:
        while raw and length <= limit:
            length += len(unfolding.decompress(raw, READ_SIZE))
            raw = unfolding.unconsumed_tail
    except zlib.error:  # readers use as much of a damaged stream as they can
        return max(length, len(raw))
    return length


def _flatten(content: bytes) -> bytes:
    """The document with what its forms and annotations show drawn into the pages. Raises
    pypdfium2.PdfiumError."""
    document = pypdfium2.PdfDocument(content)
    document.init_forms()
    for page in document:
        _remove_hidden_annotations(page)
        # drawing a page makes the appearance streams that its annotations lack; without one an annotation is
        # not drawn into the page
        page.render(scale=APPEARANCE_SCALE)
        if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_FAIL:
            raise pypdfium2.PdfiumError("not flattened")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _remove_hidden_annotations(page: pypdfium2.PdfPage) -> None:
    """Remove hidden annotations, because flattening would draw some of them."""
    for place in reversed(range(pdfium.FPDFPage_GetAnnotCount(page))):
        mark = pdfium.FPDFPage_GetAnnot(page, place)
        flags = pdfium.FPDFAnnot_GetFlags(mark)
        pdfium.FPDFPage_CloseAnnot(mark)
        if flags & HIDDEN_ANNOTATION_FLAGS:
            pdfium.FPDFPage_RemoveAnnot(page, place)


def _strip(content: bytes) -> bytes:
    """Returns a PDF with the pages and the visibility of layers, and nothing else: no annotations, no
    actions. Raises errors of pikepdf, MemoryError."""
    with _open_pdf(content) as original, pikepdf.new() as clean:
        layers = original.Root.get("/OCProperties")
        if layers is not None:
            clean.Root.OCProperties = clean.copy_foreign(original.make_indirect(layers))
        for page in original.pages:
            _remove_keys(page, set(page.obj.keys()) - set(KEPT_PAGE_KEYS))
            clean.pages.append(page)
        for element in clean.objects:
            if isinstance(element, pikepdf.Dictionary | pikepdf.Stream):
                _remove_keys(element, set(element.keys()) & set(ACTION_KEYS))
        buffer = io.BytesIO()
        clean.save(
            buffer,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
        )
    return buffer.getvalue()


def _remove_keys(element: Any, keys: Iterable[str]) -> None:
    """Delete keys of a page or another object."""
    for key in keys:
        del element[key]


def _render_page(page: pypdfium2.PdfPage) -> Image.Image:
    """Returns a page in grey, a pixel per point, but no longer or wider than MAX_RENDER_SIDE; closes the
    page."""
    scale = min(1.0, MAX_RENDER_SIDE / max(page.get_size()))
    image: Image.Image = page.render(scale=scale, grayscale=True).to_pil().convert("L")
    page.close()
    return image


def _is_similar(before: Image.Image, after: Image.Image) -> bool:
    """Whether two drawn pages differ by no more than the limits."""
    if before.size != after.size:
        return False
    difference = ImageChops.difference(before, after)
    tiles = difference.reduce(min(TILE_SIZE, *difference.size)).tobytes()
    return (
        float(ImageStat.Stat(difference).mean[0]) <= MAX_MEAN_DIFFERENCE and max(tiles) <= MAX_TILE_DIFFERENCE
    )
