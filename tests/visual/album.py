"""The pictures of `make look`: in which sizes and modes a page is seen, what is found on it, and the page that
shows all of it."""

import html
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import DESK, PHONE
from tests.visual import checks

FOLDER = Path(__file__).resolve().parents[2] / "look"
NARROW = {"width": 360, "height": 640}
SMALL_DESK, OLD_DESK = {"width": 1280, "height": 720}, {"width": 1024, "height": 768}
LIGHT, DARK, SENIOR, SENIOR_DARK = "light", "dark", "senior", "senior-dark"
NAMES = {LIGHT: "浅色", DARK: "深色", SENIOR: "长辈模式", SENIOR_DARK: "长辈模式深色"}
SIZES = (PHONE, NARROW, DESK)
STRUCTURE = """() => [...document.querySelectorAll("main *, .page-actions *")].map((one) => one.tagName + "." + one.className).join(" ")
  + [...document.querySelectorAll("h1, h2, .alert-box, .error-summary, .confirmation, .save-status, .step-list .is-current, .field-hint")].map((one) => one.textContent).join(" ")"""


@dataclass(frozen=True)
class View:
    """A size and a mode that a page is seen in. axe-core runs on it: `whole`, or what a size and a mode can
    change (checks.STYLED)."""

    size: dict[str, int]
    mode: str
    whole: bool = False

    @property
    def name(self) -> str:
        """Of files and of anchors."""
        return f"{self.mode}-{self.size['width']}"


VIEWS = {
    "doctor": (
        *(
            View(size, mode, whole=size is PHONE and mode == LIGHT)
            for mode in (LIGHT, DARK, SENIOR)
            for size in SIZES
        ),
        View(NARROW, SENIOR_DARK),
    ),
    "staff": (
        View(DESK, LIGHT, whole=True),
        View(DESK, DARK),
        View(SMALL_DESK, LIGHT),
        View(OLD_DESK, LIGHT),
        View(PHONE, LIGHT),
        View(PHONE, DARK),
    ),
}


@dataclass
class ScreenshotAlbum:
    """The pictures taken, by page, and what was found; `seen` keeps pages from being taken twice that differ
    by names alone, `played` scenes."""

    pages: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    found: dict[str, list[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    played: set[str] = field(default_factory=set)
    serial: Iterator[int] = field(default_factory=itertools.count)

    def fault(self, where: str, sentence: str) -> None:
        """Keep a finding, and tell of it when it is new."""
        if sentence not in self.found:
            print(f"{sentence}\n    {where}", file=sys.stderr)  # noqa: T201
        if where not in self.found.setdefault(sentence, []):
            self.found[sentence].append(where)

    def take(self, page: Page, who: str, address: str, kind: str) -> None:
        """Judge the page that is shown, and take its picture, in every view of `kind`."""
        mark = f"{address} {page.evaluate(STRUCTURE)}"
        if mark in self.seen:
            return
        self.seen.add(mark)
        files, number = {}, next(self.serial)
        for view in VIEWS[kind]:
            apply_view(page, view)
            text = f"{who} {address} {view.name}"
            for sentence in checks.own_findings(page, SENIOR if view.mode.startswith(SENIOR) else kind):
                self.fault(text, sentence)
            for sentence in checks.axe_findings(
                page, whole=view.whole, enhanced=view.mode.startswith(SENIOR)
            ):
                self.fault(text, sentence)
            files[view.name] = f"{number:03d}-{view.name}.jpg"
            page.screenshot(path=str(FOLDER / files[view.name]), full_page=True, type="jpeg", quality=80)
        apply_view(page, VIEWS[kind][0])
        self.pages.append((who, address, page.title(), files))


def apply_view(page: Page, view: View) -> None:
    """Turn the page as it stands to a view: what the server says by a class of the document is said here, so
    that nothing is sent again."""
    if page.viewport_size != view.size:
        page.set_viewport_size(view.size)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="dark" if view.mode.endswith(DARK) else "light", reduced_motion="reduce")
    page.evaluate(
        "(senior) => document.documentElement.classList.toggle('senior-mode', senior)",
        view.mode.startswith(SENIOR),
    )


def index(album: ScreenshotAlbum) -> str:
    """One page with all of it: what was found on top, a row a page; `#dark-390` in its address leaves that
    size and mode alone."""
    views = list(dict.fromkeys(view.name for kind in VIEWS.values() for view in kind))
    filters = " ".join(
        f'<a href="#{name}">{NAMES[name.rsplit("-", 1)[0]]} {name.rsplit("-", 1)[1]}</a>' for name in views
    )
    rules = "".join(f"#{name}:target~section figure:not(.{name}){{display:none}}" for name in views)
    findings = "".join(
        f"<li>{html.escape(sentence)}<br><small>{html.escape(' · '.join(places))}</small></li>"
        for sentence, places in sorted(album.found.items())
    )
    people: dict[str, list[str]] = {}
    for who, address, title, files in album.pages:
        pictures = "".join(
            (
                f'<figure class="{name}"><a href="{file}"><img src="{file}" loading="lazy" '
                f'alt=""></a><figcaption>{name}</figcaption></figure>'
            )
            for name, file in files.items()
        )
        people.setdefault(who, []).append(
            f"<h3>{html.escape(title)} <small>{html.escape(address)}</small></h3><div>{pictures}</div>"
        )
    figures = "".join(
        f'<h2 id="{html.escape(who)}">{html.escape(who)}</h2>{"".join(figures_of_person)}'
        for who, figures_of_person in people.items()
    )
    style = (
        "body{font:14px sans-serif}nav{position:sticky;top:0;background:#fff;padding:8px}nav "
        "a{margin-right:10px}div{display:flex;flex-wrap:wrap;gap:12px}"
        "figure{margin:0;width:200px}img{width:200px;max-height:420px;object-fit:cover;object-position:top;border:1px "
        "solid #ccc}figcaption{font-size:12px}"
    )
    who = " ".join(f'<a href="#{html.escape(person)}">{html.escape(person)}</a>' for person in people)
    anchors = "".join(f'<i id="{name}"></i>' for name in views)
    return (
        "<!doctype html><meta "
        f'charset="utf-8"><title>定考</title><style>{style}{rules}</style><nav><a '
        f'href="#">全部</a>{filters}</nav>{anchors}'
        f"<section><p>{who}</p><h2>发现 {len(album.found)}</h2><ol>{findings}</ol>{figures}</section>"
    )
