"""Five hundred doctors from an Excel file to approved by their institution, and on to accepted by the
assessment organisation: how often a person presses the mouse on the way."""

import json
import re

import pytest
from playwright.sync_api import expect

from dingkao.database.base import db
from tests import actors, sample_data
from tests.blueprints.signed_in_client import signed_in_client
from tests.browser.click_counter import ClickCounter
from tests.browser.conftest import DESK
from tests.load.synthetic_people import iter_people

SLUG, CODE = "shanxi", 14
DOCTORS = 500
MAX_APPROVAL_CLICKS, MAX_ACCEPTANCE_CLICKS = 25, 12
PLACE = sample_data.registration_number(CODE, 1)
FILED = json.dumps(
    {"good_record": "no", "bad_record": "no", "quantity": "pass", "quality": "pass", "ordered_tasks": "pass", "direct_fail": "no"}
)  # fmt: skip
SUBMIT_QUERIES = (
    "insert into filing (tenant_id, id, doctor_id, cycle_id, revision, basic, practice, experience, performance, procedure, client_ids, saved_at) "
    "select a.tenant_id, gen_random_uuid(), a.doctor_id, a.cycle_id, 7, '{}', '{}', '{}', %(filed)s, '{\"procedure\": \"general\"}', '{}', now() "
    "from assessment a where a.tenant_id = %(tenant)s and a.state = 'included'",
    "update assessment set state = 'institution_pending', procedure = 'general', submitted_at = now() "
    "where tenant_id = %(tenant)s and state = 'included'",
)  # fmt: skip


@pytest.fixture
def open_desk(application, in_province, address, open_page):
    """Opens a window of someone in that role at the first institution, signed in."""

    def make(role):
        client = signed_in_client(application, in_province, SLUG, role, PLACE)
        page = open_page(DESK)
        cookie = client.get_cookie(f"dk-{SLUG}").value
        page.context.add_cookies([{"name": f"dk-{SLUG}", "value": cookie, "url": address}])
        return page

    return make


def roster() -> bytes:
    """A roster of DOCTORS made-up people as xlsx."""
    rows = [
        sample_data.roster_row(
            CODE,
            0,
            姓名=person.name,
            性别="男" if person.sex == "male" else "女",
            证件号码=person.number,
            科室=person.department,
            手机号码=person.mobile,
        )
        for person in iter_people(CODE, DOCTORS + 10)
        if person.document_type == "resident"
    ]
    return sample_data.roster_xlsx(rows[:DOCTORS])


def import_and_include(clerk, application, in_province):
    """The clerk imports the file, and includes all who are in it."""
    clerk.get_by_role("link", name="导入名单").click()
    with clerk.expect_file_chooser() as chooser:
        clerk.locator("input[type=file]").click()
    file = {"name": "名单.xlsx", "mimeType": "application/octet-stream", "buffer": roster()}
    chooser.value.set_files(file)
    clerk.get_by_role("button", name="检查", exact=True).click()
    clerk.wait_for_url(re.compile("/office/work/"))
    actors.run_pending_jobs(application, in_province, SLUG)
    clerk.get_by_role("button", name="确认导入").click(timeout=60_000)
    expect(clerk.get_by_role("button", name="确认导入")).to_have_count(0)
    actors.run_pending_jobs(application, in_province, SLUG)
    expect(clerk.get_by_text(f"新增 {DOCTORS}")).to_be_visible(timeout=60_000)
    clerk.get_by_role("link", name="纳入考核").click()
    clerk.get_by_role("button", name="全部纳入").click()
    expect(clerk.get_by_role("button", name="全部纳入")).to_have_count(0)
    actors.run_pending_jobs(application, in_province, SLUG)


def submit_everybody(connection):
    """Everybody who is included has filed and submitted."""
    for query in SUBMIT_QUERIES:
        connection.execute(query, {"tenant": CODE, "filed": FILED})
    connection.commit()


def decide_all(page, verb, application, in_province):
    """Whatever waits is decided on at once: chosen by its list, looked at in the preview, confirmed."""
    page.get_by_role("link", name="审核", exact=True).click()
    page.get_by_label("全部符合条件的").click()
    page.get_by_role("button", name=f"批量{verb}所选").click()
    expect(page.get_by_role("status").filter(has_text="0人不在其中")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name=re.compile("^确认")).click()
    page.wait_for_url(re.compile("/office/review/batches/"), timeout=60_000)
    actors.run_pending_jobs(application, in_province, SLUG)


def test_five_hundred_doctors_take_few_clicks(application, in_province, owner_connection, open_desk):
    with in_province(SLUG):
        actors.get_or_open_cycle()
        db.session.commit()
    clerk, reviewer, organisation = (
        open_desk(role) for role in ("institution_clerk", "institution_reviewer", "organisation_reviewer")
    )
    approving, accepting = ClickCounter(clerk, reviewer), ClickCounter(organisation)
    for page in (clerk, reviewer, organisation):
        page.goto(f"/{SLUG}/office")
    import_and_include(clerk, application, in_province)
    submit_everybody(owner_connection)
    decide_all(reviewer, "通过", application, in_province)
    decide_all(organisation, "复核通过", application, in_province)
    owner_connection.commit()
    accepted = owner_connection.execute(
        "select count(*) from assessment where tenant_id = %s and state = 'ready'", (CODE,)
    ).fetchone()
    assert accepted[0] == DOCTORS
    assert len(approving) <= MAX_APPROVAL_CLICKS, approving.presses
    assert len(accepting) <= MAX_ACCEPTANCE_CLICKS, accepting.presses
