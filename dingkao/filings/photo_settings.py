"""A province's settings for photos (domain.md §13)."""

from dingkao.integrations.images import images
from dingkao.integrations.images.portrait_checks import MAX_PHOTO_KB, MIN_SIZE
from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

PHOTO_CHECK_MODES = {
    "off": "不检查",
    "hint": "提示",
    "refuse": "不接受",
}
settings.register(
    "photo_size",
    Setting(
        "照片检查：像素",
        "refuse",
        kind="one",
        group="填报",
        order=60,
        choices=PHOTO_CHECK_MODES,
    ),
)
settings.register(
    "photo_ratio",
    Setting(
        "照片检查：证件照比例（总会自动裁剪）",
        "hint",
        kind="one",
        group="填报",
        order=70,
        choices=PHOTO_CHECK_MODES,
    ),
)
settings.register(
    "photo_sharpness",
    Setting(
        "照片检查：清晰度",
        "hint",
        kind="one",
        group="填报",
        order=80,
        choices=PHOTO_CHECK_MODES,
    ),
)
settings.register(
    "photo_ground",
    Setting(
        "照片检查：白色或浅色背景",
        "hint",
        kind="one",
        group="填报",
        order=90,
        choices=PHOTO_CHECK_MODES,
    ),
)
settings.register(
    "photo_least_width",
    Setting(
        "照片最小宽度（像素）",
        MIN_SIZE[0],
        kind="whole",
        group="填报",
        order=100,
        min_value=100,
        max_value=2000,
    ),
)
settings.register(
    "photo_least_height",
    Setting(
        "照片最小高度（像素）",
        MIN_SIZE[1],
        kind="whole",
        group="填报",
        order=110,
        min_value=140,
        max_value=2800,
    ),
)
settings.register(
    "photo_most_kb",
    Setting(
        "照片文件上限（kB，超过时自动压缩）",
        MAX_PHOTO_KB,
        kind="whole",
        group="填报",
        order=120,
        min_value=100,
        max_value=MAX_PHOTO_KB,
    ),
)


def max_photo_bytes() -> int:
    """Returns the greatest size of a stored photo in bytes; a larger one is compressed."""
    return settings.value("photo_most_kb") * 1024


def photo_rules() -> images.PhotoRules:
    """Returns the province's rules for a photo (domain.md §13)."""
    checks = {check: settings.value(f"photo_{check}") for check in images.HINTS}
    min_size = (
        settings.value("photo_least_width"),
        settings.value("photo_least_height"),
    )
    return images.PhotoRules(checks, min_size, settings.value("photo_most_kb"))
