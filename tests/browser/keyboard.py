"""Filling in a page by keyboard alone."""

import time

from playwright.sync_api import Error, Page


def reach(
    page: Page, what: str | list[str], script: str = "(what) => document.activeElement.matches(what)"
) -> None:
    """Go on by Tab to the element that the selector names (or that `script` knows by `what`); a page that is
    on its way is waited for."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if page.evaluate(script, what):
                return
            page.keyboard.press("Tab")
        except Error:  # the page was just being left
            page.wait_for_load_state()
    raise AssertionError(f"Tab does not lead to {what}")


def press_until_value(page: Page, value: str, key: str, most: int) -> None:
    """Press `key` until the element with the focus has the value."""
    for _ in range(most):
        if page.evaluate("document.activeElement.value") == value:
            break
        page.keyboard.press(key)


def enter_by_keyboard(page: Page, kind: str, value: str) -> None:
    """Give the element with the focus, which is of that type, a value."""
    if kind in ("radio", "checkbox"):
        press_until_value(page, value, "Tab" if kind == "checkbox" else "ArrowDown", 20)
        if not page.evaluate("document.activeElement.checked"):
            page.keyboard.press("Space")
    elif kind == "select-one":
        press_until_value(page, value, "ArrowDown", 60)
    elif kind == "date":
        year, month, day = value.split("-")
        page.keyboard.type(month + day + year)  # this browser's own order
    elif kind == "month":
        year, month = value.split("-")
        for _ in range(int(month)):
            page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        page.keyboard.type(year)
    else:
        page.keyboard.type(value)


def by_keyboard(page: Page, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        reach(page, f"[name={name}]")
        enter_by_keyboard(page, page.evaluate("document.activeElement.type"), value)
        text = (
            "(name) => { const at = document.activeElement; return at.form ? new "
            "FormData(at.form).get(name) : at.checked && at.value; }"
        )
        assert page.evaluate(text, name) == value, name


def press(page: Page, button: str) -> None:
    reach(page, button)
    page.keyboard.press("Enter")
