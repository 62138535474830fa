"""What a member of staff had typed when the session was over comes back after signing in again."""

import re
from dataclasses import dataclass
from uuid import UUID

import pytest
from playwright.sync_api import expect
from sqlalchemy import select, update

from dingkao.assessments.models import Assessment
from dingkao.database.base import db, new_id
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.people import passwords
from dingkao.people.accounts import create_staff
from dingkao.people.models import SignInSession
from tests import actors
from tests.browser.conftest import DESK

SLUG = "jiangxi"
SERIALS = actors.unused_serials(SLUG)
PASSWORD = "gan-jiang-dong-liu-77"


@dataclass(frozen=True)
class Clerk:
    """A clerk of an institution, and a doctor there who is in 待测评."""

    account: UUID
    user_name: str
    doctor: UUID

    def sign_in(self, page):
        page.locator('[name="account"]').fill(self.user_name)
        page.locator('[name="password"]').fill(PASSWORD)
        page.get_by_role("button", name="登录", exact=True).click()


@pytest.fixture
def clerk(application, in_province):
    doctor, user_name = (
        actors.signed_in_doctor(application, in_province, SLUG, next(SERIALS)),
        f"t-expired-{new_id().hex[-12:]}",
    )
    with in_province(SLUG):
        record = db.session.scalars(select(Assessment).where(Assessment.id == doctor.record_id)).one()
        record.state, record.performance, record.ethics, record.procedure = "ready", "pass", "pass", "general"
        place = db.session.get_one(actors.Organisation, (record.tenant_id, record.institution_id))
        account = create_staff(user_name, "经办人", [("institution_clerk", place)], by=TERMINAL_ACTOR)
        account.state, account.password_hash = "active", passwords.hash_password(PASSWORD)
        db.session.commit()
        return Clerk(account.id, user_name, doctor.doctor_id)


def test_what_was_typed_when_the_session_was_over_comes_back(clerk, in_province, open_page):
    page = open_page(DESK)
    page.goto(f"/{SLUG}/login?staff=1")
    clerk.sign_in(page)
    page.wait_for_url(re.compile("/office"))
    page.goto(f"/{SLUG}/office/doctors/{clerk.doctor}")
    page.locator("#code-reason").fill("本人到场，手机遗失")
    with in_province(SLUG):
        db.session.execute(
            update(SignInSession)
            .where(SignInSession.account_id == clerk.account)
            .values(ended_at=SignInSession.begun_at)
        )
        db.session.commit()
    page.get_by_role("button", name="申请发放一次性代码").click()
    expect(page.get_by_text("登录已过期")).to_be_visible()
    clerk.sign_in(page)
    expect(page.get_by_text("登录过期前填写的内容已恢复")).to_be_visible()
    expect(page.locator("#code-reason")).to_have_value("本人到场，手机遗失")
    page.reload()
    assert page.get_by_text("登录过期前填写的内容已恢复").count() == 0, "it comes back once"
    page.locator("#code-reason").fill("本人到场，手机遗失")
    page.get_by_role("button", name="申请发放一次性代码").click()
    expect(page.get_by_text("原因：本人到场，手机遗失")).to_be_visible()
    expect(page.get_by_text("登录过期前填写的内容已恢复")).to_be_hidden()
