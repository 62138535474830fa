"""The way of another province beside the one that is walked in a browser: the same people fill in the same
forms of the same pages, found by the same words, by plain HTTP."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pyotp
from httpx2 import Response
from lxml import html
from playwright.sync_api import Page

from dingkao import clock
from dingkao.demonstration.simulation.doctor_steps import DoctorSteps, SimulatedDoctor
from dingkao.demonstration.simulation.http_browser import HttpBrowser
from dingkao.demonstration.simulation.metrics import Metrics
from dingkao.demonstration.simulation.staff_steps import StaffSteps
from dingkao.tenants.registry import by_slug
from tests import actors, sample_data
from tests.browser.province_way import (
    CITIES,
    CODES,
    NAMES,
    OFFICE_ADDRESSES,
    PHONE_ADDRESSES,
    appoint_administrators,
)
from tests.browser.whole_way_entries import KEYS, question_workbook

PASSWORD = "shengji-guanli-2026-x"


class FormBrowser(HttpBrowser):
    """A browser that fills in forms as people do: by the words of labels, buttons and links."""

    page: Any = None
    text = url = ""

    def check_response(self, response: Response, path: str) -> str:
        """Keep the page, whose forms are filled in next."""
        self.text, self.url = super().check_response(response, path), str(response.url)
        if "html" in response.headers.get("content-type", ""):
            self.page = html.fromstring(self.text, base_url=self.url)
        return self.text

    def says(self, words: str) -> bool:
        """Whether the page does, however its text is laid out."""
        return words.replace(" ", "") in _words(self.page)

    def go(self, words: str) -> str:
        """The page of the first link with these words, or in a row with them."""
        links = [link for link in self.page.iter("a") if words in _words(link)]
        links += [link for row in self.page.iter("tr") if words in _words(row) for link in row.iter("a")]
        assert links, (words, self.url)
        link = links[0]
        return self.check_response(self.client.get(link.get("href"), follow_redirects=True), words)

    def submit(self, button: str, file: tuple[str, bytes] | None = None, /, **fields: str | bool) -> str:
        """Fill in the form of a button, by its labels, and press it."""
        form, pressed = self._form_of(button)
        for label, value in fields.items():
            _fill(form, label, value)
        values: dict[str, Any] = {}
        for name, value in form.form_values():
            values.setdefault(name, []).append(value)
        if pressed.get("name"):
            values[pressed.get("name")] = pressed.get("value", "")
        chooser = next((field for field in form.iter("input") if field.get("type") == "file"), None)
        files = {chooser.get("name"): file} if file and chooser is not None else None
        answer = self.client.post(
            pressed.get("formaction") or form.get("action") or self.url,
            data=values,
            files=files,
            follow_redirects=True,
        )
        return self.check_response(answer, button)

    def _form_of(self, button: str) -> tuple[Any, Any]:
        """The form that is sent by a button, and the button: the one of just these words before one that has
        them among others."""
        pairs = [(form, one) for form in self.page.forms for one in form.iter("button")]
        pairs = [(form, one) for form, one in pairs if button in _words(one)]
        assert pairs, (button, self.url)
        return next((pair for pair in pairs if _words(pair[1]) == button), pairs[0])


def _words(element: Any) -> str:
    return re.sub(r"\s+", "", element.text_content())


def _field(form: Any, label: str) -> Any:
    """The field with that label: with just these words before one that has them among others."""
    named = {
        field: field.get("aria-label") or "".join(_words(one) for one in _labels(form, field))
        for field in form.iter("input", "select", "textarea")
    }
    found = [field for field, words in named.items() if label in words]
    assert found, (label, list(named.values()))
    return next((field for field in found if named[field].lstrip("*") == label), found[0])


def _labels(form: Any, field: Any) -> list[Any]:
    return [one for one in form.iter("label") if one.get("for", "") == field.get("id") or field in one.iter()]


def _fill(form: Any, label: str, value: str | bool) -> None:
    field = _field(form, label)
    if value is True:
        field.checked = True
    elif field.tag == "select":
        field.value = next(one.get("value") for one in field.iter("option") if _words(one) == value)
    else:
        field.value = value


class FormWay:
    """The way of one province by its forms, with the steps of ProvinceWay."""

    def __init__(
        self, slug: str, base: str, operator: Page, tmp_path: Any, apply_lines: Callable[[], None]
    ) -> None:
        self.slug, self.base, self.operator, self.tmp_path = slug, base, operator, tmp_path
        self.apply_lines = apply_lines
        self.hospital, self.division, self.authority = CITIES[slug]
        self.code, self.metrics = CODES[slug], Metrics()
        self.registration = f"YY{self.code}0000000001"
        province = by_slug(slug)
        assert province
        self.staff = StaffSteps(base, province, self.metrics, str, lambda _said: None)
        self.admin, self.admin2, self.clerk, self.reviewer, self.organisation, self.phone, self.reader = (
            FormBrowser(base, slug, self.metrics, number) for number in range(7)
        )
        self.doctor_steps = DoctorSteps(self.code, KEYS, self.reader)
        self.doctor = SimulatedDoctor(
            browser=self.phone,
            number=sample_data.resident_number(77, sex="女", area=f"{self.code}0105"),
            name=NAMES[slug],
            mobile=f"1390000{self.code}77",
            category="clinical",
            is_assistant=False,
            is_simple_procedure=False,
            skill=1,
            birth_year=1980,
        )

    def steps(self) -> Iterator[str]:
        """Yields after each step, so that another province's goes on beside it."""
        for step in (
            self.open_province,
            self.add_institution,
            self.invite_staff,
            self.start_cycle,
            self.replace_seal,
            self.arrange_papers,
            self.include_and_file,
            self.review,
            lambda: self.doctor_steps.sit_papers(self.doctor),
            lambda: self.staff.approve_pass_lines(self.admin, self.admin2),
            self.apply_lines,
            lambda: self.staff.conclude(self.organisation, 1),
            lambda: self.staff.publish(self.admin, self.admin2),
            self.check_certificate,
            self.check_separation,
        ):
            yield "on the way"
            step()
        yield "done"

    def open_province(self) -> None:
        """The operator, in a browser, opens the province and appoints two administrators, who set up their
        accounts."""
        browsers = iter((self.admin, self.admin2))
        for mobile in appoint_administrators(self.operator, self.slug):
            browser = next(browsers)
            self.reader.get("/outbox")
            message = next(card for card in self.reader.page.iter("section") if mobile in _words(card))
            link = re.search(rf"/{self.slug}/setup/[\w-]+", message.text_content())
            assert link
            browser.check_response(browser.client.get(link[0], follow_redirects=True), "/setup")
            browser.submit(
                "完成设置",
                新密码=PASSWORD,
                确认密码=PASSWORD,
                动态口令=pyotp.TOTP(browser.page.get_element_by_id("secret").text_content()).now(),
            )
            assert browser.says("待办")

    def add_institution(self) -> None:
        """An administrator adds the hospital, which assesses its own doctors."""
        self.admin.get("/office/institutions")
        self.admin.submit(
            "添加",
            机构名称=self.hospital,
            机构登记号=self.registration,
            行政区划代码=self.division,
        )
        assert self.admin.says(self.authority)
        self.admin.go(self.hospital)
        self.admin.submit("保存", 指定本机构为考核机构=True, 所属考核机构=f"{self.hospital}（本机构）")

    def invite_staff(self) -> None:
        """An administrator invites clerk and reviewers, who open their accounts."""
        for browser, user_name, role in (
            (self.clerk, "jingban", "机构经办人"),
            (self.reviewer, "shenhe", "机构审核人"),
            (self.organisation, "fuhe", "考核机构复核人"),
        ):
            self.admin.get("/office/staff")
            self.admin.submit(
                "邀请",
                用户名=user_name,
                姓名=f"测试{role}",
                角色=role,
                机构登记号=self.registration,
            )
            code = next(
                _words(one) for one in self.admin.page.iter("strong") if one.get("class") == "one-time-code"
            )
            browser.post("/login?staff=1", {"account": user_name, "password": code}, page="/login?staff=1")
            browser.submit("提交", 旧密码=code, 新密码=PASSWORD, 确认密码=PASSWORD)
            if browser.says("动态口令"):
                secret = browser.page.get_element_by_id("secret").text_content()
                browser.submit("确定", 动态口令=pyotp.TOTP(secret).now())
            assert browser.says("待办")

    def start_cycle(self) -> None:
        """An administrator starts the cycle and publishes the telephone number."""
        today = clock.today()
        begins, ends = (today - timedelta(days=3)).isoformat(), (today + timedelta(days=30)).isoformat()
        phases = {
            f"{phase}{word}": day
            for phase in ("报名", "审核", "考核", "完成")
            for word, day in (("开始", begins), ("结束", ends))
        }
        self.admin.go("周期")
        self.admin.submit(
            "开始周期",
            周期名称="2024年07月-2027年06月",
            周期开始="2024-07-01",
            周期结束="2027-06-30",
            **phases,
        )
        assert self.admin.says("当前周期：2024年07月-2027年06月")
        self.admin.get("/office/settings")
        self.admin.submit("保存设置", 客服电话=f"{self.code}00-1234567", 修改原因="公布客服电话")
        assert self.admin.says("已保存1项设置")

    def replace_seal(self) -> None:
        """One administrator proposes the seal, the other confirms it."""
        seal = ("seal.png", actors.portrait_image(400, 400, "#c01818", "PNG"))
        self.admin.submit("提出更换公章", seal, 原因="启用公章")
        assert self.admin.says("由您提出")
        for words in ("待办", "事项等待您确认", "去确认"):
            self.admin2.go(words)
        self.admin2.submit("确认")
        assert self.admin2.says("已启用新公章")

    def arrange_papers(self) -> None:
        """One administrator imports the bank, which the other approves, and arranges both papers."""
        today = clock.today()
        self.admin.get("/office/banks")
        page = self.admin.submit("直接导入", ("questions.xlsx", question_workbook()), 题库名称="本省题库")
        self.admin.wait_for_job(page)
        assert self.admin.says("新增 32，更新 0，未变 0，拒绝 0")
        self.admin2.get("/office/banks")
        self.admin2.go("本省题库")
        self.admin2.wait_for_job(self.admin2.submit("通过全部待审"))
        assert self.admin2.says("已完成")
        for subject in ("common", "professional"):
            self.admin.get(f"/office/papers/{subject}/clinical/physician")
            self.admin.submit(
                "保存",
                A1型题="10",
                考试时长="60",
                开放时间=f"{today - timedelta(days=2)}T08:00",
                结束时间=f"{today + timedelta(days=20)}T18:00",
            )
            assert self.admin.says("试卷已保存")

    def include_and_file(self) -> None:
        """The clerk imports the doctor and includes them; the doctor sets a password by a code, and files."""
        cells = {
            "姓名": self.doctor.name,
            "证件号码": self.doctor.number,
            "性别": "女",
            "机构登记号": self.registration,
            "主要执业机构": self.hospital,
            "手机号码": self.doctor.mobile,
        }
        roster = sample_data.roster_xlsx([sample_data.roster_row(self.code, 77) | cells])
        self.clerk.get("/office/roster")
        self.clerk.wait_for_job(self.clerk.submit("直接导入", ("名单.xlsx", roster)))
        assert self.clerk.says("新增 1，更新 0，未变 0，拒绝 0")
        self.staff.include_doctors(self.clerk, 1)
        self.doctor_steps.file(self.doctor)

    def review(self) -> None:
        """The institution's reviewer and the organisation's approve the filing."""
        self.staff.review(self.reviewer, "institution")
        self.staff.review(self.organisation, "organisation")

    def check_certificate(self) -> None:
        """The doctor sees the certificate, and anybody verifies it without learning the name."""
        self.doctor_steps.fetch_result(self.doctor)
        assert self.doctor.verdict == "passed"
        picture = re.search(r'src="([^"]+/certificate\.png)', self.phone.text)
        serial = re.search(r"\d{6}KH\d{9}", self.phone.text)
        assert picture
        assert serial
        assert serial[0].startswith(str(self.code))
        assert self.doctor.name not in self.reader.client.get(f"/verify/{serial[0]}").text
        (self.tmp_path / f"{self.slug}.png").write_bytes(self.phone.client.get(picture[1]).content)

    def check_separation(self) -> None:
        """Nothing of the other province is shown, and its pages ask to sign in."""
        other_slug = next(known_slug for known_slug in NAMES if known_slug != self.slug)
        for browser, addresses in ((self.admin, OFFICE_ADDRESSES), (self.phone, PHONE_ADDRESSES)):
            for address in addresses:
                page = browser.get(address)
                for foreign in (NAMES[other_slug], CITIES[other_slug][0]):
                    assert foreign not in page, address
                answer = browser.client.get(f"/{other_slug}{address}", follow_redirects=True)
                assert answer.url.path == f"/{other_slug}/login", address
