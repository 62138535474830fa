"""What a browser says it is, in words a doctor knows again: coarse, for a list of one's own sign-ins, and all of it that is kept."""

import re

_BROWSERS = (
    ("微信", r"MicroMessenger"), ("QQ", r"\bQQ/"), ("QQ浏览器", r"QQBrowser"), ("UC浏览器", r"UCBrowser|UCWEB"), ("华为浏览器", r"HuaweiBrowser"),
    ("小米浏览器", r"MiuiBrowser"), ("vivo浏览器", r"VivoBrowser"), ("OPPO浏览器", r"HeyTapBrowser|OppoBrowser"), ("夸克", r"Quark"), ("360浏览器", r"360SE|360EE|QihooBrowser"),
    ("Edge浏览器", r"Edg(e|A|iOS)?/"), ("火狐浏览器", r"Firefox|FxiOS"), ("Chrome浏览器", r"Chrome|CriOS"), ("Safari浏览器", r"Safari"), ("IE浏览器", r"MSIE|Trident"),
)  # fmt: skip
_MACHINES = (
    ("iPad", r"iPad"), ("苹果手机", r"iPhone|iPod"), ("鸿蒙手机", r"OpenHarmony|HarmonyOS"), ("安卓平板", r"Android(?!.*Mobile)"), ("安卓手机", r"Android"),
    ("Windows电脑", r"Windows"), ("苹果电脑", r"Macintosh|Mac OS X"), ("Linux电脑", r"Linux|X11"),
)  # fmt: skip


def described(user_agent: str | None) -> str:
    """«安卓手机 · 微信» and the like; «未知设备» where nothing is known."""
    text = (user_agent or "")[:400]
    told = [next((word for word, form in words if re.search(form, text)), "") for words in (_MACHINES, _BROWSERS)]
    return " · ".join(one for one in told if one) or "未知设备"


def in_wechat(user_agent: str | None) -> bool:
    """Whether this is the browser inside WeChat."""
    return "MicroMessenger" in (user_agent or "")
