"""Lists in the console: found, filtered, sorted and turned by links and forms alone; the address carries the
view; views are saved for oneself and for colleagues; no page grows with the number of institutions."""

import html
import re
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, select, text, update

from dingkao.assessments.models import Assessment
from dingkao.blueprints.console import listing_pages, lists
from dingkao.database.base import db
from dingkao.database.listing.list_pages import fetch_list_page
from dingkao.doctors.models import Doctor
from dingkao.people.models import Organisation, SavedView
from dingkao.people.permissions import ACTION_ROLES
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "shanxi", 14
DOCTORS, INCLUSION = f"/{SLUG}/office/doctors", f"/{SLUG}/office/inclusion"
FIRST, SECOND = (sample_data.registration_number(CODE, serial) for serial in (1, 2))
MAX_PAGE_BYTES, MANY = 150_000, 20_000


@pytest.fixture(scope="module")
def ground(application, in_province, provinces):
    """山西 with a cycle in which each doctor has a record."""
    with in_province(SLUG):
        actors.enrolment.enrol(actors.get_or_open_cycle())
        db.session.execute(update(Doctor).values(department="内科"))
        db.session.commit()


@pytest.fixture(scope="module")
def admin(application, in_province, ground):
    return signed_in_client(application, in_province, SLUG, "province_admin")


@pytest.fixture(scope="module")
def clerk(application, in_province, ground):
    return signed_in_client(application, in_province, SLUG, "institution_clerk", FIRST)


def page_of(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return answer.get_data(as_text=True)


FIRST_CELL = r"<tr>\s*<td[^>]*>([^<]+)</td>"


def names_on(page):
    return re.findall(r'<a href="/\w+/office/doctors/[0-9a-f-]{36}">([^<]+)</a>', page)


def links_of(page):
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', page)]


def test_a_heading_sorts_and_says_so(admin):
    page = page_of(admin, DOCTORS)
    assert '<th scope="col" aria-sort="ascending">' in page
    assert len(names_on(page)) == 6
    link = next(link for link in links_of(page) if "sort=name" in link)
    assert parse_qs(urlsplit(link).query)["dir"] == ["desc"]
    falling = page_of(admin, link)
    assert 'aria-sort="descending"' in falling
    assert names_on(falling) == names_on(page)[::-1]
    assert "共6人，按姓名倒序排列。" in falling


def test_pages_are_turned_forwards_and_back_with_what_was_chosen(admin, monkeypatch):
    whole = names_on(page_of(admin, f"{DOCTORS}?sort=department&dir=desc"))
    monkeypatch.setattr(listing_pages, "fetch_list_page", partial(fetch_list_page, size=3))
    first = page_of(admin, f"{DOCTORS}?sort=department&dir=desc")
    following = next(link for link in links_of(first) if "after=" in link)
    second = page_of(admin, following)
    assert names_on(first) + names_on(second) == whole
    back = next(link for link in links_of(second) if "before=" in link)
    assert "sort=department" in back
    assert names_on(page_of(admin, back)) == names_on(first)


def test_what_the_filter_shows_is_printed_up_to_a_bound(admin, clerk, monkeypatch):
    page = page_of(admin, f"{DOCTORS}?level=physician&sort=name&dir=desc&columns=name,number")
    link = next(link for link in links_of(page) if "/lists/doctors/print" in link)
    printed = page_of(admin, link)
    names = re.findall(FIRST_CELL, printed)
    assert names == names_on(page)
    assert "执业医师。" in printed
    assert "测试人员打印" in printed
    assert "级别</th>" not in printed, "no column that isn't shown"
    monkeypatch.setattr(lists, "MAX_PRINTED", 3)
    bounded = page_of(admin, link)
    assert "只打印前3人，后面还有" in bounded
    assert re.findall(FIRST_CELL, bounded) == names[:3]
    staff = f"/{SLUG}/office/lists/staff/print"
    assert (admin.get(staff).status_code, clerk.get(staff).status_code) == (200, 403)
    assert admin.get(f"/{SLUG}/office/lists/doctors/print?view=levels=all").status_code == 422


def test_an_institution_is_typed_and_the_address_carries_it(admin, in_province):
    with in_province(SLUG):
        institution = db.session.scalars(
            select(Organisation).where(Organisation.registration_number == FIRST)
        ).one()
        count = db.session.scalar(
            select(func.count()).select_from(Doctor).where(Doctor.organisation_id == institution.id)
        )
    answer = admin.get(f"{DOCTORS}?level=physician&institution={FIRST}")
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.location).query) == {
        "level": ["physician"],
        "institution": [str(institution.id)],
    }
    page = page_of(admin, answer.location)
    assert f"机构：{institution.name}" in page
    assert len(names_on(page)) == count
    assert f"/{SLUG}/office/doctors?level=physician" in links_of(page)
    refused = page_of(admin, f"{DOCTORS}?institution=没有这家")
    assert "没有找到机构“没有这家”" in refused
    assert re.search(r'value="没有这家"[^>]*aria-invalid="true"', refused, re.DOTALL)
    suggestions = admin.get(f"/{SLUG}/office/lists/institutions?words={institution.name[:3]}").json
    assert {"name": institution.name, "label": FIRST} in suggestions["suggestions"]
    assert admin.get(f"/{SLUG}/office/lists/institutions?words=").json == {"suggestions": []}


def test_columns_are_chosen_and_the_name_stays(admin):
    page = page_of(admin, f"{DOCTORS}?columns=department&columns=title")
    headings = [
        re.sub(r"<[^>]+>|[▲▼↕\s]", "", cell) for cell in re.findall(r"<th [^>]*>(.*?)</th>", page, re.DOTALL)
    ]
    assert headings == ["姓名", "科室", "职称", "操作"]
    assert len(names_on(page)) == 6


def test_a_clerk_sees_and_selects_the_own_doctors_alone(clerk, admin, in_province):
    own = names_on(page_of(clerk, DOCTORS))
    assert 0 < len(own) < 6
    with in_province(SLUG):
        other = db.session.scalars(
            select(Organisation.id).where(Organisation.registration_number == SECOND)
        ).one()
    assert names_on(page_of(clerk, f"{DOCTORS}?institution={other}")) == []
    assert "未纳入 0" in page_of(clerk, f"{INCLUSION}?institution={other}&state=not_included")


def test_a_view_is_saved_for_oneself_or_for_colleagues(application, in_province, ground, clerk, admin):
    colleague = signed_in_client(application, in_province, SLUG, "institution_clerk", FIRST)
    stranger = signed_in_client(application, in_province, SLUG, "institution_clerk", SECOND)
    address = f"/{SLUG}/office/lists/views"
    form = {
        "list": "doctors",
        "view": "level=physician&sort=department",
        "back": "/office/doctors?sort=level",
    }
    answer = post_form(clerk, address, DOCTORS, name=" 我的 执业医师 ", **form)
    assert (answer.status_code, answer.location) == (303, f"/{SLUG}/office/doctors?sort=level")
    saved = page_of(clerk, DOCTORS)
    assert "已保存视图“我的 执业医师”" in saved
    assert f"/{SLUG}/office/doctors?level=physician&sort=department" in links_of(saved)
    assert "我的 执业医师" not in page_of(colleague, DOCTORS)
    for _ in range(2):  # the second replaces the first
        post_form(clerk, address, DOCTORS, name="科室", shared="1", **form)
    assert "科室</a>" in page_of(colleague, DOCTORS)
    assert "科室</a>" not in page_of(stranger, DOCTORS)
    assert "科室</a>" not in page_of(admin, DOCTORS)
    with in_province(SLUG):
        views = {view.name: view.id for view in db.session.scalars(select(SavedView))}
    assert len(views) == 2
    gone = f"{address}/{views['科室']}/delete"
    assert post_form(stranger, gone, DOCTORS).status_code == 404
    assert post_form(colleague, f"{address}/{views['我的 执业医师']}/delete", DOCTORS).status_code == 404
    assert post_form(clerk, gone, DOCTORS, back="//evil.example").location == f"/{SLUG}/office"
    assert "科室</a>" not in page_of(colleague, DOCTORS)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"name": " "}, "请填写视图名称"),
        ({"name": "医" * 31}, "请填写视图名称"),
        ({"view": "level=x"}, "所选范围已失效"),
    ],
)
def test_a_view_that_is_none_is_refused_in_words(clerk, changed, sentence):
    form = {"list": "doctors", "view": "", "name": "全部", "back": "/office/doctors"} | changed
    post_form(clerk, f"/{SLUG}/office/lists/views", DOCTORS, **form)
    assert sentence in page_of(clerk, DOCTORS)


def test_a_list_that_one_may_not_see_has_no_views(clerk, admin):
    form = {"view": "", "name": "全部", "back": "/office"}
    address = f"/{SLUG}/office/lists/views"
    assert post_form(admin, address, DOCTORS, list="institution_reviews", **form).status_code == 403
    assert post_form(admin, address, DOCTORS, list="nothing", **form).status_code == 404


def test_all_rows_of_a_view_are_included_and_no_others(application, in_province, ground, clerk, admin):
    opened = page_of(clerk, INCLUSION)
    assert re.search(r"未纳入 \d+</a>", opened)
    with in_province(SLUG):
        own = db.session.scalars(
            select(Assessment)
            .join(Organisation, Organisation.id == Assessment.institution_id)
            .where(Organisation.registration_number == FIRST)
        ).all()
        assistant = db.session.get_one(Doctor, (CODE, own[0].doctor_id))
        assistant.level = "assistant"
        db.session.commit()
    view = "level=assistant&state=not_included"
    refused = post_form(clerk, INCLUSION, selection="all", view="level=x&state=not_included")
    assert refused.status_code == 422
    done = post_form(clerk, INCLUSION, selection="all", view=view)
    actors.run_pending_jobs(application, in_province, SLUG)
    assert "已纳入 1" in page_of(clerk, done.location)
    with in_province(SLUG):
        states = dict(
            db.session.execute(select(Assessment.state, func.count()).group_by(Assessment.state)).all()
        )
    assert states == {"not_included": 5, "included": 1}
    listed = page_of(admin, f"{INCLUSION}?state=included")
    assert "共1人" in listed
    removal = {"selection": "all", "view": "state=included", "reason": "已调离"}
    after = post_form(admin, f"{INCLUSION}/remove", INCLUSION, **removal).location
    assert parse_qs(urlsplit(after).query) == {"state": ["included"]}
    assert "已移出1人。" in page_of(admin, after)
    assert "共6人" in page_of(admin, INCLUSION)


@pytest.fixture(scope="module")
def many_institutions(in_province, ground):
    """As many institutions as a large province has, of which a half assess."""
    with in_province(SLUG):
        db.session.execute(
            text("""
            INSERT INTO organisation (
                tenant_id, id, name, registration_number, division, category, health_authority, assesses,
                created_at
            )
            SELECT :code, gen_random_uuid(), '第' || serial || '医院', 'Z' || serial, '140402', '医疗机构',
                '潞州区卫生健康局', serial % 2 = 0, now() FROM generate_series(1, :many) AS serial
            """),
            {"code": CODE, "many": MANY},
        )
        db.session.execute(
            text("""
            WITH place AS (
                INSERT INTO hall (tenant_id, id, organisation_id, name, address, seats)
                SELECT tenant_id, gen_random_uuid(), id, name || '机房', '长治市', 40
                FROM organisation WHERE tenant_id = :code AND assesses RETURNING id, organisation_id
            )
            INSERT INTO slot (
                tenant_id, id, cycle_id, organisation_id, hall_id, opens_at, closes_at, invigilated, made_at
            )
            SELECT :code, gen_random_uuid(), cycle.id, place.organisation_id, place.id, now(),
                now() + interval '2 hours', false, now() FROM place, cycle WHERE cycle.tenant_id = :code
            """),
            {"code": CODE},
        )
        db.session.commit()


@pytest.mark.parametrize(
    "role", ["province_admin", "auditor", "organisation_reviewer", "institution_reviewer", "question_editor"]
)
def test_no_page_grows_with_the_institutions(application, in_province, many_institutions, role):
    place = None if role in ("province_admin", "auditor", "question_editor") else FIRST
    client = signed_in_client(application, in_province, SLUG, role, place)
    views = application.view_functions
    addresses = sorted(
        rule.rule
        for rule in application.url_map.iter_rules()
        if rule.rule.startswith("/office")
        and "GET" in rule.methods
        and not rule.arguments
        and role in ACTION_ROLES.get(getattr(views[rule.endpoint], "action", ""), {role})
    )
    assert len(addresses) > 3
    answers = {address: client.get(f"/{SLUG}{address}") for address in addresses}
    assert {
        address for address, answer in answers.items() if answer.status_code not in (200, 302, 303)
    } == set()
    sizes = {address: len(answer.data) for address, answer in answers.items()}
    assert {address: size for address, size in sizes.items() if size > MAX_PAGE_BYTES} == {}
