"""Pictures and documents people hand in: judged by their content, and written anew, so that nothing but the picture is kept."""

import io
import warnings

from PIL import Image, ImageFile, ImageOps

from dingkao.errors import Invalid, TooLarge
from dingkao.outside import rewriting

PORTRAIT = (413, 579)
LEAST = (180, 240)
MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS, MAX_PIXELS_WHOLE = 40_000_000, 24_000_000  # a JPEG is decoded smaller, every other picture whole
WORKING_SIDE = 4000
MAX_SIDE = 2000
MAX_PAGES = 20
FORMATS = ("JPEG", "PNG")
TOO_MANY_BYTES = f"文件超过{MAX_BYTES // 1024 // 1024}MB,请压缩后重新上传。"
TOO_MANY_PIXELS = "图片尺寸过大{},请缩小到{}万像素以内再上传。"
NOT_A_PICTURE = "这不是可以识别的照片。请选择jpg或png格式的照片;手机上可先截图再上传。"


def portrait(content: bytes) -> bytes:
    """A photo for the certificate [S7]: turned upright, cut from the middle to 413 × 579, as JPEG without any data besides the picture.
    Raises Invalid, TooLarge."""
    picture = _opened(content, "photo")
    if picture.width < LEAST[0] or picture.height < LEAST[1]:
        raise Invalid(f"照片太小({picture.width}×{picture.height}),印在证书上会不清楚。请上传不小于{LEAST[0]}×{LEAST[1]}像素的照片。", "photo")
    return _jpeg(ImageOps.fit(picture, PORTRAIT, Image.Resampling.LANCZOS, centering=(0.5, 0.4)))


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


def _opened(content: bytes, field: str, *, keep_alpha: bool = False) -> Image.Image:
    if len(content) > MAX_BYTES:
        raise TooLarge(TOO_MANY_BYTES)
    if not content:
        raise Invalid("请选择文件。", field)
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
