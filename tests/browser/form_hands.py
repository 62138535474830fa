"""What finishes forms: two hands, one where no script runs and one by keyboard alone, and the doctors for whom
they do."""

import re

from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.people import authentication, passwords
from dingkao.people.models import Account
from tests import actors
from tests.browser.keyboard import by_keyboard, reach
from tests.browser.test_sign_in import PASSWORD

SLUG, CODE = "fujian", 35
serials = iter(range(100, 400))
PICTURE = {"name": "证书.jpg", "mimeType": "image/jpeg", "buffer": actors.portrait_image()}
IS_NAMED_SCRIPT = """([text, kind]) => {
  const one = document.activeElement;
  const name = (one.getAttribute("aria-label") || one.textContent || "").replace(/\\s+/g, " ");
  return one.matches(kind) && one.tabIndex >= 0 && name.includes(text);
}"""


class WithoutScripts:
    """Finishes forms where no script runs."""

    javascript = False

    def __init__(self, page: Page):
        self.page = page

    def open(self, address: str) -> None:
        """A page of the province."""
        self.page.goto(f"/{SLUG}{address}")

    def says(self, text: str) -> None:
        """It stands on the page and can be seen."""
        expect(self.page.get_by_text(text).first, text).to_be_visible()

    def give(self, **fields: str) -> None:
        """Fill in and choose."""
        for name, value in fields.items():
            field = self.page.locator(f"main [name={name}]:not([type=hidden])")
            if field.first.get_attribute("type") in ("radio", "checkbox"):
                self.page.locator(f"[name={name}][value='{value}']").check()
            elif self.page.locator(f"select[name={name}]").count():
                field.select_option(value)
            else:
                field.fill(value)

    def press(self, text: str) -> None:
        """The first button or link that is called so."""
        self.page.get_by_role("button", name=text).or_(self.page.get_by_role("link", name=text)).first.click()

    def unfold(self, text: str) -> None:
        """Open what is folded under that name."""
        self.page.locator("summary", has_text=text).or_(
            self.page.locator(f'summary[aria-label="{text}"]')
        ).first.click()

    def attach(self, button: str, which: str = "[data-submit-plain]") -> None:
        """A picture, handed in."""
        self.page.locator(f"input[type=file]{which}").set_input_files(PICTURE)
        self.press(button)


class ByKeyboard(WithoutScripts):
    """Finishes forms with Tab, Enter, the space bar, arrows and what is typed; nothing else."""

    javascript = True

    def __init__(self, page: Page):
        super().__init__(page)
        page.on("filechooser", lambda chooser: chooser.set_files(PICTURE))

    def give(self, **fields: str) -> None:
        """Fill in and choose; what Tab has selected is typed over, or taken away."""
        for name, value in fields.items():
            if value:
                by_keyboard(self.page, {name: value})
            else:
                reach(self.page, f"[name={name}]")
                self.page.keyboard.press("Backspace")

    def press(self, text: str) -> None:
        """Go on by Tab to what is called so, and press it."""
        reach(self.page, [text, "a, button"], IS_NAMED_SCRIPT)
        self.page.keyboard.press("Enter")

    def unfold(self, text: str) -> None:
        """Open what is folded under that name."""
        reach(self.page, [text, "summary"], IS_NAMED_SCRIPT)
        self.page.keyboard.press("Enter")

    def attach(self, button: str, which: str = "") -> None:
        """A picture: with scripts it goes as soon as it is chosen, but from a form of its own."""
        reach(self.page, f"input[type=file]{which}" if which else "[data-file-picker] input:not([capture])")
        self.page.keyboard.press("Enter")
        if which:
            self.page.wait_for_function("(which) => document.querySelector(which).files.length", arg=which)
            self.press(button)


Hand = WithoutScripts


def code_to(hand: Hand, mobile: str) -> str:
    """The last code that went to a number."""
    match = None
    for _ in range(50):
        outbox = hand.page.request.get(f"/{SLUG}/outbox").text()
        match = re.search(rf"{mobile}.*?验证码(\d{{6}})", outbox, re.DOTALL)
        if match:
            break
        hand.page.wait_for_timeout(100)
    assert match, "no code was sent"
    return match[1]


class World:
    """Doctors of this province, and what a test must know of them."""

    def __init__(self, application, in_province):
        self.application, self.in_province = application, in_province

    def doctor(self, state: str = "included", *, filed: bool = False) -> actors.SignedInDoctor:
        """A doctor signed in who has read the notice, in `state`; with a complete filing where it is
        `filed`."""
        someone = actors.signed_in_doctor(self.application, self.in_province, SLUG, next(serials))
        someone.post("/filing/notice")
        if filed:
            someone.file()
        if state != "included":
            actors.advance_to(self.in_province, someone, "ready")
        if state == "failed":
            with self.in_province(SLUG):
                failed = {"state": "failed", "performance": "pass", "ethics": "pass", "competence": "fail"}
                db.session.execute(
                    update(Assessment).where(Assessment.id == someone.record_id).values(**failed)
                )
                db.session.commit()
        return someone

    def account(self, someone: actors.SignedInDoctor, state: str = "active", mobile: str = "") -> None:
        """Give the account PASSWORD and a bound number; or make it one that was never opened."""
        with self.in_province(SLUG):
            account = db.session.scalars(
                select(Account).where(Account.id == actors.account_of(someone.record_id)).with_for_update()
            ).one()
            account.state, account.password_hash = (
                state,
                passwords.hash_password(PASSWORD) if state == "active" else None,
            )
            if mobile:
                authentication.change_mobile(account, mobile)
            db.session.commit()

    def name(self, someone: actors.SignedInDoctor) -> str:
        """The doctor's name."""
        with self.in_province(SLUG):
            return db.session.scalars(
                select(Account.name).where(Account.id == actors.account_of(someone.record_id))
            ).one()


def mobile_of(someone: actors.SignedInDoctor) -> str:
    """A number for this doctor alone."""
    return f"139{someone.record_id.int % 10**8:08d}"


def come_in(hand: Hand, someone: actors.SignedInDoctor) -> None:
    """The page with a doctor's session."""
    name, context = f"dk-{SLUG}", hand.page.context
    context.add_cookies(
        [
            {
                "name": name,
                "value": someone.client.get_cookie(name).value,
                "url": context._impl_obj._options["baseURL"],
            }
        ]
    )
