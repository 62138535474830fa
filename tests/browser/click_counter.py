"""Counts what a person presses: every press of the mouse in a page's window, and every answer to a dialogue of
the browser."""

from playwright.sync_api import Page

_LISTEN = """addEventListener("pointerdown", (event) => {
  if (event.isTrusted) countPress(event.target.closest("a, button, label, input, summary")?.textContent ?? "");
}, true);"""


class ClickCounter:
    """The presses in the pages that it watches, with the text of what was pressed."""

    def __init__(self, *pages: Page) -> None:
        self.presses: list[str] = []
        for page in pages:
            page.context.expose_binding("countPress", lambda _source, text: self.presses.append(text.strip()))
            page.context.add_init_script(_LISTEN)
            page.on("dialog", self._answer)

    def _answer(self, dialog: object) -> None:
        self.presses.append("确定")
        dialog.accept()  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.presses)
