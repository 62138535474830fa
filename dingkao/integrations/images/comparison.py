"""Compares what two pictures look like, by small maps of their brightness.

`rgba_converter` returns the conversion that stored pictures go through. `brightness_map_of_opened` computes
the brightness of an uploaded picture from the numbers in the file by its own formulas, so that a conversion
that loses something is found by the comparison and not repeated in it.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image, ImageCms, ImageMath

MAP_SIDE = 32
GREY_LEVELS = 65535
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L")
STRICT_TOLERANCE, LOOSE_TOLERANCE = (0.03, 0.2), (0.2, 0.5)
"""(average, single place): how much brightness (0 to 1) may differ; LOOSE for pictures with a colour profile,
which changes colours."""
ToRgba = Callable[[Image.Image], Image.Image]
BrightnessMap = Sequence[float]


def rgba_converter(picture: Image.Image) -> ToRgba:
    """Returns the function that converts `picture`, or a piece of it, to RGBA in sRGB."""
    if picture.mode in DEEP_MODES:
        clear = picture.info.get("transparency")
        return lambda piece: _deep_to_rgba(piece, clear)
    profiled = _colour_profile(picture)
    if profiled is None:
        return lambda piece: piece.convert("RGB" if piece.mode == "CMYK" else "RGBA").convert("RGBA")
    return lambda piece: _profiled_to_rgba(piece, profiled)


def brightness_map(picture: Image.Image) -> BrightnessMap:
    """Returns the map of a converted picture, on a white background: MAP_SIDE × MAP_SIDE brightnesses from 0
    to 1, line by line."""
    return [_brightness(pixel) for pixel in _mean_pixels(picture, lambda piece: piece.convert("RGBA"))]


def brightness_map_of_opened(picture: Image.Image) -> BrightnessMap:
    """Returns the map of a picture as it was opened, in any mode of Pillow, on a white background: MAP_SIDE ×
    MAP_SIDE brightnesses from 0 to 1, line by line."""
    is_masked = "transparency" in picture.info
    if picture.mode in DEEP_MODES and not is_masked:
        return _deep_map(picture)
    if picture.mode == "P":
        return _palette_map(picture)
    if picture.mode == "CMYK":
        return _ink_map(picture)
    is_converted = is_masked or picture.mode == "1"
    convert = rgba_converter(picture) if is_converted else _unchanged
    return [_brightness(pixel) for pixel in _mean_pixels(picture, convert)]


def _deep_map(picture: Image.Image) -> BrightnessMap:
    """Returns the map of a greyscale picture with 16 bits per pixel."""
    return [min(value / GREY_LEVELS, 1.0) for value in _mean_pixels(picture, _unchanged)]


def _ink_map(picture: Image.Image) -> BrightnessMap:
    """Returns the map of a CMYK picture."""
    return [_ink_brightness(pixel) for pixel in _mean_pixels(picture, _unchanged)]


def _palette_map(picture: Image.Image) -> BrightnessMap:
    """Returns the map of a picture with a palette."""
    greys = _palette_brightness(picture)
    pixels = _mean_pixels(picture, lambda piece: _palette_indices(piece).point(greys))
    return [value / 255 for value in pixels]


def _unchanged(piece: Image.Image) -> Image.Image:
    """The conversion that changes nothing."""
    return piece


def _ink_brightness(pixel: Sequence[float]) -> float:
    """Returns the brightness (0 to 1) of a CMYK pixel, whose inks are 0 to 255."""
    *inks, black = pixel
    return _brightness([(255 - ink) * (255 - black) / 255 for ink in inks])


def is_similar(
    one: BrightnessMap,
    other: BrightnessMap,
    limit: tuple[float, float] = STRICT_TOLERANCE,
) -> bool:
    """Whether two maps may be of the same picture: they differ by no more than `limit` (average, single
    place), limits included."""
    apart = [abs(first - second) for first, second in zip(one, other, strict=True)]
    return sum(apart) / len(apart) <= limit[0] and max(apart) <= limit[1]


def _mean_pixels(picture: Image.Image, convert: ToRgba) -> Iterator[Any]:
    """Yields MAP_SIDE × MAP_SIDE pixels, line by line, each the mean of its part of the converted picture. It
    works in horizontal bands, because a large picture already uses much memory."""
    width, height = picture.size
    for index in range(MAP_SIDE):
        above = index * height / MAP_SIDE
        below = (index + 1) * height / MAP_SIDE
        first, last = int(above), min(height, int(-(-below // 1)))
        band = convert(picture.crop((0, first, width, last)))
        small = band.resize(
            (MAP_SIDE, 1),
            Image.Resampling.BOX,
            box=(0, above - first, width, min(below, last) - first),
        )
        yield from (small.getpixel((column, 0)) for column in range(MAP_SIDE))


def _brightness(pixel: Any) -> float:
    """Returns the brightness (0 to 1) of a pixel of L, LA, RGB or RGBA (0 to 255), on a white background."""
    parts = list(pixel) if isinstance(pixel, tuple | list) else [pixel]
    alpha = parts.pop() / 255 if len(parts) in (2, 4) else 1.0
    grey = parts[0] if len(parts) == 1 else 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2]
    return float(grey / 255 * alpha + 1 - alpha)


def _palette_indices(piece: Image.Image) -> Image.Image:
    """Returns a picture whose greys are the palette indices of `piece`."""
    return Image.frombytes("L", piece.size, piece.tobytes())


def _palette_brightness(picture: Image.Image) -> list[int]:
    """The brightness on a white background of each of the 256 colours of a picture's palette, from 0 to 255;
    of colours that the palette lacks, that of black."""
    colours = (picture.getpalette("RGB") or []) + [0] * 768
    alphas = _palette_alphas(picture)
    return [
        round(
            255
            * _brightness(
                [
                    *colours[3 * index : 3 * index + 3],
                    alphas.get(index, 255),
                ]
            )
        )
        for index in range(256)
    ]


def _palette_alphas(picture: Image.Image) -> dict[int, int]:
    """Returns index of a palette colour → opacity (0 to 255), for colours that are not fully opaque."""
    clear = picture.info.get("transparency", b"")
    return {clear: 0} if isinstance(clear, int) else dict(enumerate(clear))


def _deep_to_rgba(piece: Image.Image, clear: Any) -> Image.Image:
    """Returns a piece of a 16-bit greyscale picture as RGBA; `clear` is the number of transparent pixels,
    None if there are none."""
    numbers = piece.convert("I")
    rgba = numbers.point(lambda value: value * (255 / GREY_LEVELS)).convert("L").convert("RGBA")
    if isinstance(clear, int):
        # pixels with the number `clear` are transparent
        rgba.putalpha(
            ImageMath.lambda_eval(
                lambda given: given["convert"]((given["numbers"] != clear) * 255, "L"),
                numbers=numbers,
            )
        )
    return rgba


def _colour_profile(picture: Image.Image) -> tuple[Any, str] | None:
    """Returns the transform from the picture's colour profile to sRGB, and the mode it needs; None without a
    usable profile."""
    mode = {"P": "RGB", "RGBA": "RGB", "LA": "L"}.get(picture.mode, picture.mode)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB"), mode
    except (
        KeyError,
        TypeError,
        OSError,
        ValueError,
        ImageCms.PyCMSError,
    ):
        return None


def _profiled_to_rgba(piece: Image.Image, profiled: tuple[Any, str]) -> Image.Image:
    """Returns a piece of a picture as RGBA, converted by the transform and mode of `_colour_profile`."""
    transform, mode = profiled
    alpha = None if mode == "CMYK" else piece.convert("RGBA").getchannel("A")
    converted = ImageCms.applyTransform(
        piece if piece.mode == mode else piece.convert("RGBA").convert(mode),
        transform,
    )
    assert converted is not None  # noqa: S101 - a new picture unless asked to change the old one
    rgba = converted.convert("RGBA")
    if alpha is not None:
        rgba.putalpha(alpha)
    return rgba
