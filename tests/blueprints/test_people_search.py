"""The search in the console's top bar: found by whatever is typed, at an address that can be sent on, within
what one reaches, and without a number in any address."""

import html
import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from sqlalchemy import select

from dingkao.assessments.enrolment import enrol
from dingkao.assessments.models import Assessment
from dingkao.database.base import db
from dingkao.doctors.models import Doctor
from tests import actors, sample_data
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG, CODE = "ningxia", 64
PAGE = f"/{SLUG}/office/search"


@pytest.fixture(scope="module")
def people(application, province, in_province):
    """曾国藩 at the first institution, whose record waits for its review; 曾国荃 at the second."""
    with in_province(SLUG):
        rows = [
            sample_data.roster_row(CODE, serial, at=serial, 姓名=name)
            for serial, name in ((1, "曾国藩"), (2, "曾国荃"))
        ]
        assert actors.put_on_roster(*rows).accepted == 2
        cycle = actors.get_or_open_cycle()
        enrol(cycle)
        is_first = Doctor.name == "曾国藩"
        record = db.session.scalars(
            select(Assessment).join(Doctor, Doctor.id == Assessment.doctor_id).where(is_first)
        ).one()
        record.state, record.assessor_id = "institution_pending", record.institution_id
        db.session.commit()
        return {"曾国藩": record.doctor_id, "record": record.id}


@pytest.fixture(scope="module")
def client_of(application, people, in_province):
    """A client of somebody with a role, at an institution by serial."""
    clients = {}

    def make(role, serial=None):
        if (role, serial) not in clients:
            number = sample_data.registration_number(CODE, serial) if serial else None
            clients[role, serial] = signed_in_client(application, in_province, SLUG, role, number)
        return clients[role, serial]

    return make


def main_of(answer):
    """The page below the top bar."""
    return answer.get_data(as_text=True).split('<main id="main">')[1]


def test_what_is_typed_in_the_top_bar_leads_to_an_address_that_finds_the_same(client_of, people):
    admin = client_of("province_admin")
    assert f'action="{PAGE}"' in admin.get(f"/{SLUG}/office").get_data(as_text=True)
    answer = post_form(admin, PAGE, q=" ceng guo ")
    assert (answer.status_code, answer.location) == (303, f"{PAGE}?q=ceng+guo")
    page = main_of(admin.get(answer.location))
    assert "按拼音找到2人" in page
    assert page.index("曾国藩") < page.index("曾国荃")
    assert f"/{SLUG}/office/doctors/{people['曾国藩']}" in page
    assert 'value="ceng guo"' in admin.get(answer.location).get_data(as_text=True)


def test_a_number_stands_in_no_address(client_of, people):
    number = sample_data.roster_row(CODE, 1)["证件号码"]
    answer = post_form(client_of("province_admin"), PAGE, q=number)
    assert answer.status_code == 200
    page = main_of(answer)
    assert "按证件号码找到1人" in page
    assert "曾国藩" in page
    assert not re.search(rf'(href|action)="[^"]*{number}', answer.get_data(as_text=True))


def test_a_clerk_finds_the_own_doctors_and_a_reviewer_their_records(client_of, people):
    clerk, reviewer = client_of("institution_clerk", 2), client_of("institution_reviewer", 1)
    page = main_of(clerk.get(f"{PAGE}?q={quote('曾')}"))
    assert "曾国荃" in page
    assert "曾国藩" not in page
    assert f"/{SLUG}/office/review/{people['record']}" in main_of(reviewer.get(f"{PAGE}?q=zgf"))
    assessor = client_of("organisation_reviewer", 1)
    page = main_of(assessor.get(f"{PAGE}?q={quote('曾国藩')}"))
    assert f"/{SLUG}/office/review/{people['record']}" in page
    assert f"/{SLUG}/office/doctors/" not in page
    assert "没有找到" in main_of(client_of("organisation_reviewer", 2).get(f"{PAGE}?q={quote('曾国藩')}"))
    assert client_of("question_editor").get(f"{PAGE}?q=zgf").status_code == 403
    assert "查找医师" not in client_of("question_editor").get(f"/{SLUG}/office").get_data(as_text=True)


def test_where_nobody_is_found_it_is_said_what_else_may_be_typed(client_of, people):
    admin = client_of("province_admin")
    page = main_of(admin.get(f"{PAGE}?q={quote('<b>查无')}"))
    assert "没有找到“&lt;b&gt;查无”" in page
    assert "拼音：全拼或首字母" in page
    assert "在页面上方的查找框中输入" in main_of(admin.get(PAGE))
    assert "超过100个字" in main_of(admin.get(f"{PAGE}?q={quote('王' * 300)}"))
    for text in ("%", "_", "\x00", "😀", "%FF%FE", "王\x00%"):
        assert admin.get(f"{PAGE}?q={quote(text)}").status_code == 200


LISTS = pytest.mark.parametrize(
    ("path", "view"),
    [
        ("/office/doctors", "level=physician"),
        ("/office/inclusion", "state=institution_pending"),
    ],
)


def search_of_list(client, path, view, **typed):
    """The answer to what was typed into the search fields of a list's view."""
    page = f"/{SLUG}{path}?{view}"
    form = re.search(
        r'<form class="listing-search" method="post"[^>]*action="([^"]+)"',
        client.get(page).get_data(as_text=True),
    )
    return post_form(client, html.unescape(form[1]), page, **typed)


@LISTS
def test_lists_are_searched_in_the_same_ways(client_of, people, path, view):
    admin = client_of("province_admin")
    institution_number = sample_data.registration_number(CODE, 1)
    for text in ("国藩", "zgf", "zengguof", "第1人民", institution_number):
        answer = search_of_list(admin, path, view, q=text)
        assert answer.location == f"/{SLUG}{path}?{view}&q={quote(text)}"
        page = main_of(admin.get(answer.location))
        assert "曾国藩" in page, text
        assert "曾国荃" not in page, text
    assert "曾国藩" not in main_of(admin.get(f"/{SLUG}{path}?{view}&q={quote('国荃')}"))


@LISTS
def test_a_number_typed_into_a_list_stands_in_no_address(client_of, people, path, view):
    admin = client_of("province_admin")
    number = sample_data.roster_row(CODE, 1)["证件号码"]
    address = f"/{SLUG}{path}?{view}&doctor={people['曾国藩']}"
    assert search_of_list(admin, path, view, q=f" {number} ").location == address
    assert admin.get(f"/{SLUG}{path}?{view}&q={number}").location == address
    page = main_of(admin.get(address))
    assert "曾国藩" in page
    assert "曾国荃" not in page
    assert "号码：查到的医师" in page
    assert number not in page
    assert search_of_list(admin, path, f"{view}&doctor={people['曾国藩']}", q="国荃").location == (
        f"/{SLUG}{path}?{view}&q={quote('国荃')}"
    )
    for unknown in (number[:-2] + "99", f"曾国藩{number}", "649912345678"):
        answer = search_of_list(admin, path, view, q=unknown, institution="第1人民")
        assert answer.status_code == 200
        page = main_of(answer)
        assert "没有找到这个号码" in page
        assert re.search(rf'name="q"\s+value="{unknown}"[^>]*aria-invalid="true"', page)
        assert 'value="第1人民"' in page
        assert not re.search(rf'(href|action)="[^"]*{quote(unknown)}', page)
        assert re.search(rf'name="back" value="{path}\?{html.escape(view)}"', page)


def test_a_number_finds_in_a_list_only_whom_one_reaches(client_of, people):
    clerk, number = client_of("institution_clerk", 2), sample_data.roster_row(CODE, 1)["证件号码"]
    answer = search_of_list(clerk, "/office/doctors", "level=physician", q=number)
    assert answer.status_code == 200
    assert "没有找到这个号码" in main_of(answer)
    strange = f"/{SLUG}/office/doctors?doctor={people['曾国藩']}"
    assert "曾国藩" not in main_of(clerk.get(strange))
    assert clerk.get(f"/{SLUG}/office/doctors?doctor=1.2").status_code == 200
    reviewer = client_of("organisation_reviewer", 1)
    found = search_of_list(reviewer, "/office/review", "side=organisation", q=number)
    assert parse_qs(urlsplit(found.location).query) == {
        "side": ["organisation"],
        "doctor": [str(people["曾国藩"])],
    }
