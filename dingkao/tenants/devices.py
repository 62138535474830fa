"""Describes a browser from its User-Agent, as a coarse Chinese text for the list of one's own sign-ins. Only
this text is stored."""

import re
from functools import lru_cache

_BROWSERS = (
    ("微信", r"MicroMessenger"), ("QQ", r"\bQQ/"), ("QQ浏览器", r"QQBrowser"), ("UC浏览器", r"UCBrowser|UCWEB"), ("华为浏览器", r"HuaweiBrowser"),
    ("小米浏览器", r"MiuiBrowser"), ("vivo浏览器", r"VivoBrowser"), ("OPPO浏览器", r"HeyTapBrowser|OppoBrowser"), ("夸克", r"Quark"), ("360浏览器", r"360SE|360EE|QihooBrowser"),
    ("Edge浏览器", r"Edg(e|A|iOS)?/"), ("火狐浏览器", r"Firefox|FxiOS"), ("Chrome浏览器", r"Chrome|CriOS"), ("Safari浏览器", r"Safari"), ("IE浏览器", r"MSIE|Trident"),
)  # fmt: skip
_DEVICES = (
    ("iPad", r"iPad"), ("苹果手机", r"iPhone|iPod"), ("鸿蒙手机", r"OpenHarmony|HarmonyOS"), ("安卓平板", r"Android(?!.*Mobile)"), ("安卓手机", r"Android"),
    ("Windows电脑", r"Windows"), ("苹果电脑", r"Macintosh|Mac OS X"), ("Linux电脑", r"Linux|X11"),
)  # fmt: skip


def describe_device(user_agent: str | None) -> str:
    """Returns a text like «安卓手机 · 微信»; «未知设备» if nothing is recognised."""
    return _describe((user_agent or "")[:400])


@lru_cache(maxsize=2000)
def _describe(text: str) -> str:
    """Returns the text of `describe_device`, cached."""
    parts = (
        _first_match(_DEVICES, text),
        _first_match(_BROWSERS, text),
    )
    return " · ".join(filter(None, parts)) or "未知设备"


def _first_match(words: tuple[tuple[str, str], ...], text: str) -> str:
    """Returns the first word of `words` (word, pattern) whose pattern is found in `text`, or ""."""
    return next((word for word, form in words if re.search(form, text)), "")


def is_wechat_browser(user_agent: str | None) -> bool:
    """Whether this is the browser inside WeChat."""
    return "MicroMessenger" in (user_agent or "")
