"""Pictures and documents people hand in: judged by their content, and written anew, so that nothing but the picture is kept."""

import io
import warnings
from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image, ImageFile, ImageFilter, ImageOps, ImageStat

from dingkao.errors import Invalid, TooLarge
from dingkao.outside import rewriting

PORTRAIT = (413, 579)
LEAST = (180, 240)
RATIO_SLACK = 0.15
LEAST_SHARPNESS = 20.0
LIGHT, COLOURLESS, LIGHT_SHARE = 185, 45, 0.75
MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS, MAX_PIXELS_WHOLE = 40_000_000, 24_000_000  # a JPEG is decoded smaller, every other picture whole
WORKING_SIDE = 4000
MAX_SIDE = 2000
ILLUSTRATION_SIDE = 1600
MAX_PAGES = 20
FORMATS = ("JPEG", "PNG")
TOO_MANY_BYTES = f"文件超过{MAX_BYTES // 1024 // 1024}MB,请压缩后重新上传。"
TOO_MANY_PIXELS = "图片尺寸过大{},请缩小到{}万像素以内再上传。"
NOT_A_PICTURE = "这不是可以识别的照片。请选择jpg或png格式的照片;手机上可先截图再上传。"
HEIC = (
    "这是苹果手机的HEIC格式照片,暂时不能识别。请对这张照片截图后上传截图,"
    "或在手机“设置-相机-格式”中选择“兼容性最佳”,重新拍照后上传。"
)
OFF, HINT, REFUSE = "off", "hint", "refuse"
HINTS = {
    "size": "照片偏小或文件过大,印在通知书上可能不清楚。建议换一张更清晰的原图。",
    "ratio": "照片不是证件照比例,已自动从中间裁剪。请核对头部是否完整、是否居中。",
    "sharpness": "照片可能不够清晰。建议在光线充足处重新拍摄,拍摄时拿稳手机并对准面部。",
    "ground": "照片背景可能不是白色或浅色。建议以白墙为背景重新拍摄。",
}


class Rules(NamedTuple):
    """What a province asks of a photo: each check off, a hint or a refusal; the least size in pixels, the most kB."""

    checks: Mapping[str, str] = {"size": REFUSE, "ratio": HINT, "sharpness": HINT, "ground": HINT}
    least: tuple[int, int] = LEAST
    most_kb: int = MAX_BYTES // 1024


class Portrait(NamedTuple):
    """A photo as it is kept, and the codes of the HINTS that were found."""

    content: bytes
    hints: list[str]


def portrait(content: bytes, rules: Rules | None = None) -> Portrait:
    """A photo for the certificate [S7]: turned upright, cut from the middle to 413 × 579, as JPEG without any data besides the picture;
    judged by the province's `rules` (domain.md §13, photo rule). Raises Invalid, TooLarge."""
    rules = rules or Rules()
    picture = _opened(content, "photo")
    cut = ImageOps.fit(picture, PORTRAIT, Image.Resampling.LANCZOS, centering=(0.5, 0.4))
    hints = []
    for check, sentence in _found(picture, cut, len(content), rules).items():
        if rules.checks.get(check, OFF) == REFUSE:
            raise Invalid(sentence, "photo")
        if rules.checks.get(check, OFF) == HINT:
            hints.append(check)
    return Portrait(_jpeg(cut), hints)


def sharpness(picture: Image.Image) -> float:
    """How much detail the part with the head has: the variance of a Laplacian, the customary measure of being out of focus."""
    width, height = picture.size
    head = picture.convert("L").crop((width // 5, height // 10, width * 4 // 5, height * 7 // 10))
    laplacian = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
    return float(ImageStat.Stat(head.filter(laplacian).crop((1, 1, head.width - 1, head.height - 1))).var[0])


def light_share(picture: Image.Image) -> float:
    """Which share of the ground (a band along the upper edge and both corners below it) is white or nearly so."""
    width, height = picture.size
    side = width // 8
    parts = [(0, 0, width, height // 16), (0, 0, side, height * 2 // 5), (width - side, 0, width, height * 2 // 5)]
    light = whole = 0
    for part in parts:
        pixels = picture.crop(part).reduce(4).convert("RGB").tobytes()
        for red, green, blue in zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True):
            whole += 1
            light += min(red, green, blue) >= LIGHT and max(red, green, blue) - min(red, green, blue) <= COLOURLESS
    return light / whole


def _found(picture: Image.Image, cut: Image.Image, size: int, rules: Rules) -> dict[str, str]:
    """What the checks find: check → sentence."""
    told = {}
    width, height = picture.size
    if width < rules.least[0] or height < rules.least[1]:
        told["size"] = f"照片太小({width}×{height}),印在证书上会不清楚。请上传不小于{rules.least[0]}×{rules.least[1]}像素的照片。"
    elif size > rules.most_kb * 1024:
        told["size"] = f"照片文件超过{rules.most_kb}kB,请压缩后重新上传。"
    if abs(width / height * PORTRAIT[1] / PORTRAIT[0] - 1) > RATIO_SLACK:
        told["ratio"] = "照片不是证件照比例(宽高约为5:7)。请裁剪后重新上传。"
    if sharpness(cut) < LEAST_SHARPNESS:
        told["sharpness"] = "照片不够清晰。请在光线充足处重新拍摄,拍摄时拿稳手机并对准面部。"
    if light_share(cut) < LIGHT_SHARE:
        told["ground"] = "照片背景不是白色或浅色。请以白墙为背景重新拍摄。"
    return told


def document(content: bytes) -> tuple[bytes, str]:
    """A proof, rewritten, and its content type: a picture as JPEG of at most 2000 pixels a side; a PDF without scripts, attachments and
    actions. Raises Invalid, TooLarge."""
    if content.lstrip()[:5] == b"%PDF-":
        return _pdf(content), "application/pdf"
    picture = _opened(content, "proof")
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return _jpeg(picture), "image/jpeg"


def seal(content: bytes) -> bytes:
    """A seal's picture (公章) with its transparency, as PNG of 600 pixels a side. Raises Invalid, TooLarge."""
    picture = _opened(content, "seal", keep_alpha=True)
    if abs(picture.width - picture.height) > 0.1 * max(picture.size) or min(picture.size) < 200:
        raise Invalid("公章图片应为正方形,边长不小于200像素。请裁剪后重新上传。", "seal")
    written = io.BytesIO()
    picture.resize((600, 600), Image.Resampling.LANCZOS).save(written, "PNG", optimize=True)
    return written.getvalue()


def illustration(content: bytes) -> tuple[bytes, str, tuple[int, int]]:
    """A picture in a question, its content type and its size: a drawing (PNG) stays one, a photo is a JPEG; at most 1600 pixels a side, on
    white ground. Raises Invalid, TooLarge."""
    picture = _opened(content, "picture")
    picture.thumbnail((ILLUSTRATION_SIDE, ILLUSTRATION_SIDE), Image.Resampling.LANCZOS)
    if not content.startswith(b"\x89PNG"):
        return _jpeg(picture), "image/jpeg", picture.size
    written = io.BytesIO()
    few = picture.quantize(256) if picture.getcolors(256) else picture
    few.save(written, "PNG", optimize=True)
    return written.getvalue(), "image/png", picture.size


def _opened(content: bytes, field: str, *, keep_alpha: bool = False) -> Image.Image:
    if len(content) > MAX_BYTES:
        raise TooLarge(TOO_MANY_BYTES)
    if not content:
        raise Invalid("请选择文件。", field)
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"):
        raise Invalid(HEIC, field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ImageFile.LOAD_TRUNCATED_IMAGES = False  # WeasyPrint, where it has been imported, lets half a picture pass
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            most = MAX_PIXELS if picture.format == "JPEG" else MAX_PIXELS_WHOLE
            if picture.width * picture.height > most:
                raise Invalid(TOO_MANY_PIXELS.format(f"({picture.width}×{picture.height})", most // 10_000), field)
            picture.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # a JPEG is decoded smaller; others are made smaller before they are copied
            if max(picture.size) > WORKING_SIDE and picture.mode not in ("P", "1"):
                picture.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
            alpha = ImageOps.exif_transpose(picture).convert("RGBA")
    except Image.DecompressionBombError as fault:
        raise Invalid(TOO_MANY_PIXELS.format("", MAX_PIXELS_WHOLE // 10_000), field) from fault
    except Invalid:
        raise
    except Exception as fault:  # the decoder's faults are of many kinds, and each means the same here
        raise Invalid(NOT_A_PICTURE, field) from fault
    if keep_alpha:
        return alpha
    ground = Image.new("RGB", alpha.size, "white")
    ground.paste(alpha, mask=alpha.getchannel("A"))
    return ground


def _jpeg(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=88, optimize=True)
    return written.getvalue()


def _pdf(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise TooLarge(TOO_MANY_BYTES)
    try:
        return rewriting.rewritten(content, MAX_PAGES)
    except rewriting.NotRewritten as fault:
        sentences = {
            rewriting.LOCKED: "PDF设有密码,请去除密码后重新上传。",
            rewriting.TOO_LONG: f"PDF超过{MAX_PAGES}页,请只上传需要的页。",
            rewriting.EMPTY: "PDF里没有页面,请重新导出后上传。",
        }
        raise Invalid(sentences.get(fault.code, "这份PDF无法打开,请重新导出后上传,或改为上传图片。"), "proof") from fault
