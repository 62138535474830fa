"""Checks of a photo for the certificate: size, ratio, sharpness, background."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from PIL import Image, ImageFilter, ImageStat

PORTRAIT_SIZE = (413, 579)
MIN_SIZE = (180, 240)
MAX_PHOTO_KB = 10 * 1024
"""The most kB of a stored photo in a province that allows no fewer."""
RATIO_SLACK = 0.15
"""By which share the ratio of an uploaded photo's sides may differ from that of PORTRAIT_SIZE."""
MIN_SHARPNESS = 20.0
"""The `sharpness` below which a photo of PORTRAIT_SIZE is reported."""
MIN_BRIGHTNESS, MAX_COLOUR_SPREAD = 185, 45
"""Of a pixel that counts as light: its darkest channel, and the difference of its channels (0 to 255)."""
MIN_LIGHT_SHARE = 0.75
"""The share of light pixels in the background below which a photo is reported."""
CHECK_OFF, CHECK_HINT, CHECK_REFUSE = "off", "hint", "refuse"


class PhotoRules(NamedTuple):
    """A province's rules for photos. `checks`: check → off, hint or refuse (a check that is missing is off);
    `min_size`: least width and height in pixels of the uploaded photo; `max_kb`: the most kB of a stored
    photo."""

    checks: Mapping[str, str] = {
        "size": CHECK_REFUSE,
        "ratio": CHECK_HINT,
        "sharpness": CHECK_HINT,
        "ground": CHECK_HINT,
    }
    min_size: tuple[int, int] = MIN_SIZE
    max_kb: int = MAX_PHOTO_KB


def sharpness(picture: Image.Image) -> float:
    """Returns how sharp a photo of PORTRAIT_SIZE is (of another size the figure means nothing): the variance
    of a Laplacian over the part with the head, the usual measure of focus. Higher is sharper; see
    MIN_SHARPNESS."""
    width, height = picture.size
    head = picture.convert("L").crop((width // 5, height // 10, width * 4 // 5, height * 7 // 10))
    laplacian = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
    return float(ImageStat.Stat(head.filter(laplacian).crop((1, 1, head.width - 1, head.height - 1))).var[0])


def background_light_share(picture: Image.Image) -> float:
    """Returns the share (0 to 1) of the background of a photo of PORTRAIT_SIZE that is white or nearly white,
    measured along the upper edge and down both sides to two fifths of the height; see MIN_LIGHT_SHARE."""
    width, height = picture.size
    side = width // 8
    parts = [
        (0, 0, width, height // 16),
        (0, 0, side, height * 2 // 5),
        (width - side, 0, width, height * 2 // 5),
    ]
    pixels = [pixel for part in parts for pixel in _thinned_pixels(picture.crop(part))]
    return sum(map(_is_light, pixels)) / len(pixels)


def _thinned_pixels(
    picture: Image.Image,
) -> Iterator[tuple[int, int, int]]:
    """Yields (red, green, blue), the mean of each square of 4 × 4 pixels."""
    colours = picture.reduce(4).convert("RGB").tobytes()
    return zip(colours[::3], colours[1::3], colours[2::3], strict=True)


def _is_light(pixel: tuple[int, int, int]) -> bool:
    """Whether a pixel is white or nearly white."""
    return min(pixel) >= MIN_BRIGHTNESS and max(pixel) - min(pixel) <= MAX_COLOUR_SPREAD


def check_portrait(
    size: tuple[int, int],
    cut: Image.Image,
    rules: PhotoRules,
) -> dict[str, str]:
    """Returns check (size, ratio, sharpness, ground) → sentence (Chinese) for each problem, whether the
    province checks it or not. `size`: of the uploaded photo, upright; `cut`: the photo cropped to
    PORTRAIT_SIZE; of `rules` only `min_size` is read."""
    messages = {
        "size": _size_problem(size, rules),
        "ratio": _ratio_problem(size),
        "sharpness": _sharpness_problem(cut),
        "ground": _background_problem(cut),
    }
    return {check: message for check, message in messages.items() if message}


def _size_problem(size: tuple[int, int], rules: PhotoRules) -> str:
    """Returns the sentence about a photo that is too small, or ""."""
    width, height = size
    if width < rules.min_size[0] or height < rules.min_size[1]:
        return (
            f"照片太小（{width}×{height}），印在证书上会不清楚。"
            f"请上传不小于{rules.min_size[0]}×{rules.min_size[1]}像素的照片。"
        )
    return ""


def _ratio_problem(size: tuple[int, int]) -> str:
    """Returns the sentence about an uploaded photo whose ratio of width and height differs from that of
    PORTRAIT_SIZE by more than RATIO_SLACK, or ""."""
    width, height = size
    if abs(width / height * PORTRAIT_SIZE[1] / PORTRAIT_SIZE[0] - 1) > RATIO_SLACK:
        return "照片不是证件照比例（宽高约为5:7）。请裁剪后重新上传。"
    return ""


def _sharpness_problem(cut: Image.Image) -> str:
    """Returns the sentence about a photo of PORTRAIT_SIZE that is out of focus, or ""."""
    if sharpness(cut) < MIN_SHARPNESS:
        return "照片不够清晰。请在光线充足处重新拍摄，拍摄时拿稳手机并对准面部。"
    return ""


def _background_problem(cut: Image.Image) -> str:
    """Returns the sentence about a photo of PORTRAIT_SIZE whose background is dark or coloured, or ""."""
    if background_light_share(cut) < MIN_LIGHT_SHARE:
        return "照片背景不是白色或浅色。请以白墙为背景重新拍摄。"
    return ""
