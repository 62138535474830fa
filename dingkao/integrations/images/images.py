"""Uploaded pictures and documents: recognised by their content, and re-encoded in a sandbox, so that only the
picture itself is stored.

The result is compared with the upload (`comparison`); if it would show something else, the upload is refused.
All `process_…` functions run in a sandbox (`runner.sandboxed`) and raise, besides what they say, Unavailable
if it is busy or not available, TooLarge (`runner.LimitExceeded`) at a limit of it, and `runner.Unreadable`,
an InvalidInput without field, if a library fails. Any other InvalidInput names the form field that the
function says.
"""

import importlib
import io
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

from PIL import Image, ImageFile, ImageOps

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.images import comparison
from dingkao.integrations.images.portrait_checks import (
    CHECK_HINT,
    CHECK_OFF,
    CHECK_REFUSE,
    PORTRAIT_SIZE,
    PhotoRules,
    check_portrait,
)
from dingkao.integrations.sandbox import runner

MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
"""The most bytes of an uploaded file that is a photo, a proof, a document of a request, a seal or a picture
of a question."""
MAX_PIXELS, MAX_PIXELS_WHOLE = (
    40_000_000,
    24_000_000,
)  # a baseline JPEG can be decoded at a smaller size, other pictures only whole
BAND_HEIGHT, MAX_WORKING_PIXELS = 64, 8_000_000
"""BAND_HEIGHT: lines of the reduced picture that are made at once. MAX_WORKING_PIXELS: about how many pixels
it has before it is resized to its final size."""
PORTRAIT_QUALITIES = (88, 70, 50)
"""JPEG qualities; the first with which a photo is within its size limit is used. With the last one, even pure
noise takes only 92 kB, less than any limit."""
MAX_SIDE = 2000
"""The most pixels of a stored proof's longer side."""
ILLUSTRATION_SIDE, SEAL_SIDE = 1600, 600
"""In pixels: the longer side that a question's picture has at most, and both sides of a seal."""
MAX_PAGES = 20
"""The most pages of a proof that is a PDF."""
ACCEPTED_FORMATS = ("JPEG", "PNG")
HEIC_BRANDS = (
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"mif1",
    b"msf1",
)
EXIF_ORIENTATION = 0x0112
ORIENTATION_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
ROTATED_ORIENTATIONS = (5, 6, 7, 8)
TOO_LARGE_MESSAGE = f"文件超过{MAX_DOCUMENT_BYTES // 1024 // 1024}MB，请压缩后重新上传。"
TOO_MANY_PIXELS_MESSAGE = "图片尺寸过大{}，请缩小到{}万像素以内再上传。"
NOT_AN_IMAGE_MESSAGE = "这不是可以识别的照片。请选择jpg或png格式的照片；手机上可先截图再上传。"
TOO_COMPLEX_MESSAGE = "图片过大或过于复杂，系统处理不了。请对图片截图，或压缩、缩小后重新上传。"
ANIMATED_MESSAGE = "这是会动的图片，只能保存其中一帧。请截取需要的画面后上传截图。"
CHANGED_BY_CONVERSION_MESSAGE = (
    "图片转换后与原图不一致，不能保存。请对图片截图后上传截图，或另存为普通的jpg、png格式后重新上传。"
)
HEIC_MESSAGE = (
    "这是苹果手机的HEIC格式照片，暂时不能识别。请对这张照片截图后上传截图，"
    "或在手机“设置-相机-格式”中选择“兼容性最佳”，重新拍照后上传。"
)
HINTS = {
    "size": "照片偏小，印在通知书上可能不清楚。建议换一张更清晰的原图。",
    "ratio": "照片不是证件照比例，已自动从中间裁剪。请核对头部是否完整、是否居中。",
    "sharpness": "照片可能不够清晰。建议在光线充足处重新拍摄，拍摄时拿稳手机并对准面部。",
    "ground": "照片背景可能不是白色或浅色。建议以白墙为背景重新拍摄。",
}


class Portrait(NamedTuple):
    """A photo as it is stored (JPEG), and the codes of the HINTS that apply to it."""

    content: bytes
    hints: list[str]


class Illustration(NamedTuple):
    """A question's picture as it is stored, its content type, and its size in pixels (width, height)."""

    content: bytes
    content_type: str
    size: tuple[int, int]


class Opened(NamedTuple):
    """An uploaded picture, turned upright and perhaps reduced; and its original size in pixels, upright."""

    picture: Image.Image
    size: tuple[int, int]


def preload() -> None:
    """Import what a sandbox's fork server should have ready: called there before children are forked."""
    importlib.import_module("dingkao.integrations.pdf.sanitizing")
    Image.preinit()


@runner.sandboxed(TOO_COMPLEX_MESSAGE)
def process_portrait(content: bytes, rules: PhotoRules | None = None) -> Portrait:
    """Returns a photo for the certificate [S7]: turned upright, cropped a little above the middle to 413 ×
    579 pixels, as JPEG without metadata and within the size limit of the province's `rules` (None: the usual
    ones); with the hints of the checks (domain.md §13, photo rule). Raises InvalidInput (field "photo"), also
    for a check that the rules refuse; TooLarge."""
    rules = rules or PhotoRules()
    opened = _open_image(content, "photo", lambda _size: PORTRAIT_SIZE)
    cut = ImageOps.fit(
        opened.picture,
        PORTRAIT_SIZE,
        Image.Resampling.LANCZOS,
        centering=(0.5, 0.4),
    )
    hints = _hints_of(check_portrait(opened.size, cut, rules), rules)
    return Portrait(_encode_portrait(cut, rules.max_kb * 1024), hints)


def _encode_portrait(portrait: Image.Image, max_bytes: int) -> bytes:
    """Returns a photo as JPEG, with the best quality that takes at most `max_bytes`, or else the lowest of
    PORTRAIT_QUALITIES. Raises InvalidInput."""
    for quality in PORTRAIT_QUALITIES:
        encoded = _encode_jpeg(portrait, "photo", quality)
        if len(encoded) <= max_bytes:
            break
    return encoded


def _hints_of(problems: Mapping[str, str], rules: PhotoRules) -> list[str]:
    """Returns the checks with problems (`problems`: check → sentence) that the rules treat as hints. Raises
    InvalidInput for the first problem that they refuse."""
    for check, sentence in problems.items():
        if rules.checks.get(check, CHECK_OFF) == CHECK_REFUSE:
            raise InvalidInput(sentence, "photo")
    return [check for check in problems if rules.checks.get(check, CHECK_OFF) == CHECK_HINT]


@runner.sandboxed(TOO_COMPLEX_MESSAGE)
def process_document(content: bytes) -> tuple[bytes, str]:
    """Returns a proof, rewritten, and its content type: a picture as JPEG with sides of at most MAX_SIDE
    pixels; a PDF without scripts, attachments and actions. Raises InvalidInput (field "proof"), TooLarge."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise TooLarge(TOO_LARGE_MESSAGE)
    if content.lstrip()[:5] == b"%PDF-":
        from dingkao.integrations.pdf import (
            sanitizing,
        )  # only in the sandboxed child, because its libraries are large

        return sanitizing.sanitize_pdf(content, MAX_PAGES), "application/pdf"
    picture = _open_image(content, "proof", lambda size: _fit_size(size, MAX_SIDE)).picture
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return _encode_jpeg(picture, "proof"), "image/jpeg"


@runner.sandboxed(TOO_COMPLEX_MESSAGE)
def process_seal(content: bytes) -> bytes:
    """Returns the picture of an official seal (公章), with its transparency, as PNG of 600 × 600 pixels.
    Raises InvalidInput (field "seal"), also for one that isn't square or has less than 200 pixels a side;
    TooLarge."""
    opened = _open_image(
        content,
        "seal",
        lambda _size: (SEAL_SIDE, SEAL_SIDE),
        keep_alpha=True,
    )
    if abs(opened.size[0] - opened.size[1]) > 0.1 * max(opened.size) or min(opened.size) < 200:
        raise InvalidInput(
            "公章图片应为正方形，边长不小于200像素。请裁剪后重新上传。",
            "seal",
        )
    return _encode_png(
        opened.picture.resize((SEAL_SIDE, SEAL_SIDE), Image.Resampling.LANCZOS),
        "seal",
    )


@runner.sandboxed(TOO_COMPLEX_MESSAGE)
def process_illustration(content: bytes) -> Illustration:
    """Returns a picture for a question, with sides of at most 1600 pixels and a white background: a PNG stays
    PNG, a photo becomes JPEG. Raises InvalidInput (field "picture"), TooLarge."""
    picture = _open_image(
        content,
        "picture",
        lambda size: _fit_size(size, ILLUSTRATION_SIDE),
    ).picture
    picture.thumbnail(
        (ILLUSTRATION_SIDE, ILLUSTRATION_SIDE),
        Image.Resampling.LANCZOS,
    )
    if not content.startswith(b"\x89PNG"):
        return Illustration(
            _encode_jpeg(picture, "picture"),
            "image/jpeg",
            picture.size,
        )
    drawing = picture.quantize(256) if picture.getcolors(256) else picture
    return Illustration(_encode_png(drawing, "picture"), "image/png", picture.size)


def _fit_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Returns a size with the same ratio and no side longer than `side`; `size` itself if it fits already."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _open_image(
    content: bytes,
    field: str,
    target: Callable[[tuple[int, int]], tuple[int, int]],
    *,
    keep_alpha: bool = False,
) -> Opened:
    """Returns a picture as people see it, at least as large as `target` returns for its own size, unless the
    file's is smaller. `field` is the form field for errors; without `keep_alpha` it gets a white background.
    Raises InvalidInput, also if it looks different after its conversion, TooLarge, MemoryError."""
    _refuse_other_content(content, field)
    try:
        decoded = _decode(content, field, target, keep_alpha=keep_alpha)
    except Image.DecompressionBombError as error:
        raise InvalidInput(
            TOO_MANY_PIXELS_MESSAGE.format("", MAX_PIXELS_WHOLE // 10_000),
            field,
        ) from error
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:  # the decoder raises many kinds of errors, which all mean the same here
        raise InvalidInput(NOT_AN_IMAGE_MESSAGE, field) from error
    if not decoded.is_unchanged:
        raise InvalidInput(CHANGED_BY_CONVERSION_MESSAGE, field)
    return _turn_upright(decoded)


class _Decoded(NamedTuple):
    """A picture as in the file, perhaps reduced; its original size; its EXIF orientation; and whether it
    looks the same after its conversion."""

    picture: Image.Image
    size: tuple[int, int]
    orientation: int | None
    is_unchanged: bool


def _decode(
    content: bytes,
    field: str,
    target: Callable[[tuple[int, int]], tuple[int, int]],
    *,
    keep_alpha: bool,
) -> _Decoded:
    """Decodes the picture of a file, reduced as far as `target` of its size allows, on white without
    `keep_alpha`, not yet turned. Raises what the decoder raises, and InvalidInput for too many pixels or an
    animated one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # WeasyPrint, if imported, sets this to True, which would accept an incomplete picture
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        picture = Image.open(io.BytesIO(content), formats=ACCEPTED_FORMATS)
        size = picture.size
        _refuse_oversized(picture, field)
        picture.draft("RGB", target(size))
        picture.load()
        orientation = picture.getexif().get(EXIF_ORIENTATION)
        displayed = _to_display_image(picture, target(picture.size), keep_alpha=keep_alpha)
        return _Decoded(
            displayed,
            size,
            orientation,
            _shows_the_same(picture, displayed),
        )


def _turn_upright(decoded: _Decoded) -> Opened:
    """Returns a picture turned by its EXIF orientation."""
    picture, (width, height), orientation, _ = decoded
    if orientation in ORIENTATION_TRANSPOSES:
        picture = picture.transpose(ORIENTATION_TRANSPOSES[orientation])
    is_turned = orientation in ROTATED_ORIENTATIONS
    return Opened(picture, (height, width) if is_turned else (width, height))


def _refuse_other_content(content: bytes, field: str) -> None:
    """Refuse, before it is opened, a file that is too large, empty, or in Apple's HEIC format. Raises
    InvalidInput, TooLarge."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise TooLarge(TOO_LARGE_MESSAGE)
    if not content:
        raise InvalidInput("请选择文件。", field)
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        raise InvalidInput(HEIC_MESSAGE, field)


def _shows_the_same(picture: Image.Image, displayed: Image.Image) -> bool:
    """Whether a picture looks the same after its conversion; a colour profile may change its colours a
    little."""
    has_profile = "icc_profile" in picture.info
    tolerance = comparison.LOOSE_TOLERANCE if has_profile else comparison.STRICT_TOLERANCE
    opened_map = comparison.brightness_map_of_opened(picture)
    return comparison.is_similar(opened_map, comparison.brightness_map(displayed), tolerance)


def _refuse_oversized(picture: Image.Image, field: str) -> None:
    """Refuse, from its header, a picture with too many pixels or an animated one. Raises InvalidInput."""
    max_pixels = MAX_PIXELS_WHOLE if _is_decoded_whole(picture) else MAX_PIXELS
    if picture.width * picture.height > max_pixels:
        raise InvalidInput(
            TOO_MANY_PIXELS_MESSAGE.format(
                f"({picture.width}×{picture.height})",
                max_pixels // 10_000,
            ),
            field,
        )
    if picture.format == "PNG" and getattr(picture, "n_frames", 1) > 1:
        raise InvalidInput(ANIMATED_MESSAGE, field)


def _is_decoded_whole(picture: Image.Image) -> bool:
    """Whether the decoder must decode all pixels of a picture before it can reduce it."""
    return picture.format == "PNG" or bool(picture.info.get("progressive"))


def _to_display_image(picture: Image.Image, target: tuple[int, int], *, keep_alpha: bool) -> Image.Image:
    """Returns the picture as RGBA if `keep_alpha`, else as RGB on white, reduced by a whole number if
    `target` allows it. It works in horizontal bands, because a large picture already uses much memory."""
    width, height = picture.size
    times = _reduction(picture.size, target)
    show = comparison.rgba_converter(picture)
    lines = BAND_HEIGHT * times
    canvas = Image.new(
        "RGBA" if keep_alpha else "RGB",
        (-(-width // times), -(-height // times)),
    )
    for top in range(0, height, lines):
        band = show(picture.crop((0, top, width, min(height, top + lines))))
        if not keep_alpha:
            band = _on_white(band)
        canvas.paste(
            band.reduce(times) if times > 1 else band,
            (0, top // times),
        )
    return canvas


def _reduction(size: tuple[int, int], target: tuple[int, int]) -> int:
    """Returns the whole number by which a picture is reduced, 1 for not at all. It stays at least as large as
    `target`: it is reduced by half of the possible factor, or by more if it would still have more than
    MAX_WORKING_PIXELS."""
    width, height = size
    spare = min(width / target[0], height / target[1])
    needed = (width * height / MAX_WORKING_PIXELS) ** 0.5
    return max(1, int(min(spare, max(spare / 2, needed))))


def _on_white(picture: Image.Image) -> Image.Image:
    """Returns an RGBA picture on a white background."""
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _encode_jpeg(picture: Image.Image, field: str, quality: int = 88) -> bytes:
    """Returns the picture as JPEG. Raises InvalidInput if that looks different."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return _verify_encoded(buffer, picture, field)


def _encode_png(picture: Image.Image, field: str) -> bytes:
    """Returns the picture as PNG. Raises InvalidInput if that looks different."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return _verify_encoded(buffer, picture, field)


def _verify_encoded(written: io.BytesIO, picture: Image.Image, field: str) -> bytes:
    """Returns the encoded bytes (`written`). Raises InvalidInput if they don't show `picture`."""
    if not comparison.is_similar(
        comparison.brightness_map(picture),
        comparison.brightness_map(Image.open(written)),
    ):
        raise InvalidInput(CHANGED_BY_CONVERSION_MESSAGE, field)
    return written.getvalue()
