"""Pictures and documents people hand in: judged by their content, and written anew, so that nothing but the picture is kept."""

import io
import warnings

import pikepdf
from PIL import Image, ImageOps

from dingkao.errors import Invalid, TooLarge

PORTRAIT = (413, 579)
LEAST = (180, 240)
MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 2000
MAX_PAGES = 20
FORMATS = ("JPEG", "PNG")
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
        raise TooLarge(f"文件超过{MAX_BYTES // 1024 // 1024}MB,请压缩后重新上传。")
    if not content:
        raise Invalid("请选择文件。", field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise Invalid(f"图片尺寸过大({picture.width}×{picture.height}),请缩小到4000万像素以内再上传。", field)
            upright = ImageOps.exif_transpose(picture)
            alpha = upright.convert("RGBA")
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
        raise TooLarge(f"文件超过{MAX_BYTES // 1024 // 1024}MB,请压缩后重新上传。")
    try:
        with pikepdf.open(io.BytesIO(content)) as given:
            if len(given.pages) > MAX_PAGES:
                raise Invalid(f"PDF有{len(given.pages)}页,最多{MAX_PAGES}页,请只上传需要的页。", "proof")
            clean = pikepdf.new()
            for page in given.pages:
                for key in ("/AA", "/Annots", "/Metadata"):
                    if key in page:
                        del page[key]
                clean.pages.append(page)
            written = io.BytesIO()
            clean.save(written)
    except pikepdf.PasswordError as fault:
        raise Invalid("PDF设有密码,请去除密码后重新上传。", "proof") from fault
    except Invalid:
        raise
    except Exception as fault:
        raise Invalid("这份PDF无法打开,请重新导出后上传,或改为上传图片。", "proof") from fault
    return written.getvalue()
