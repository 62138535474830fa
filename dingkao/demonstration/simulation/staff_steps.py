"""The steps of the simulated staff: roster, inclusion, review, papers, pass lines, conclusion, publication.
All raise SimulationError if a page does not show what is expected."""

import random
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from stdnum.cn import ric

from dingkao.demonstration.seed import CITIES, PASSWORD
from dingkao.demonstration.simulation.doctor_steps import (
    SimulatedDoctor,
)
from dingkao.demonstration.simulation.http_browser import (
    JOB_TIMEOUT_SECONDS,
    HttpBrowser,
)
from dingkao.demonstration.simulation.metrics import (
    Metrics,
    SimulationError,
)
from dingkao.doctors.code_lists import CATEGORIES, LEVELS
from dingkao.doctors.roster_columns import COLUMN_HEADINGS
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.tenants.registry import Province

TOTP_SECONDS = 30
MAX_RECORDS_IN_BATCH = 400
_TICK_PATTERN = re.compile(r'name="record"\s+value="([^"]+)"')
STAFF_BROWSERS = 60000
"""The number of the first browser of staff; doctors have the numbers below it."""


@dataclass
class StaffSteps:
    """The steps of the staff of `province`, served at the URL `base`. `code_of`: user name → current TOTP
    code; `report` is called with each line of progress."""

    base: str
    province: Province
    metrics: Metrics
    code_of: Callable[[str], str]
    report: Callable[[str], None]

    def sign_in(self, user_name: str, number: int) -> HttpBrowser:
        """Returns a browser in which the account is signed in; `number` distinguishes the browsers of
        staff."""
        browser = HttpBrowser(
            self.base,
            self.province.slug,
            self.metrics,
            STAFF_BROWSERS + number,
        )
        credentials = {"account": user_name, "password": PASSWORD}
        page = browser.post("/login?staff=1", credentials, page="/login?staff=1")
        for _ in range(3):
            if "动态口令" not in page:
                return browser
            response = browser.client.post(
                f"/{self.province.slug}/second-factor",
                data={
                    "csrf_token": browser.token,
                    "code": self.code_of(user_name),
                },
            )
            if response.status_code == 303:
                return browser
            time.sleep(TOTP_SECONDS - time.time() % TOTP_SECONDS + 1)  # each code is valid once
        raise SimulationError(f"{user_name} could not sign in")

    def import_roster(self, clerk: HttpBrowser, count: int) -> list[SimulatedDoctor]:
        """Invent `count` doctors and import them as a roster; returns them."""
        chance = random.Random(secrets.randbits(64))  # noqa: S311 - for names and dates
        first_birth_date = date(1960, 1, 1) + timedelta(days=chance.randrange(3000))
        doctors, rows = [], []
        for serial in range(count):
            birth_date = first_birth_date + timedelta(days=serial)
            doctor, cells = self._invent_doctor(chance, serial, birth_date)
            doctors.append(doctor)
            rows.append([cells.get(column, "") for column in COLUMN_HEADINGS])
        content = xlsx_writer.write_xlsx([headings[0] for headings in COLUMN_HEADINGS.values()], rows)
        page = clerk.post(
            "/office/roster",
            page="/office/roster",
            files={"file": ("名单.xlsx", content)},
        )
        if f"新增 {count}，" not in clerk.wait_for_job(page):
            raise SimulationError("the roster was not imported completely")
        return doctors

    def _invent_doctor(
        self,
        chance: random.Random,
        serial: int,
        birth_date: date,
    ) -> tuple[SimulatedDoctor, dict[str, str]]:
        """Returns a doctor, and the cells of the doctor's row in the roster (column → text)."""
        category = list(CATEGORIES)[serial % 4]
        sex = chance.choice("男女")
        number = self._invent_number(chance, sex, birth_date)
        name = (
            chance.choice("钱赵孙李周吴郑王冯陈")
            + chance.choice("文华雅静建国丽娟志远明慧")
            + chance.choice("春梅晓东玉兰平安")
        )
        mobile = f"17{chance.randrange(10**9):09d}"
        doctor = SimulatedDoctor(
            browser=HttpBrowser(
                self.base,
                self.province.slug,
                self.metrics,
                serial + 1,
            ),
            number=number,
            name=name,
            mobile=mobile,
            category=category,
            is_assistant=serial % 5 == 4,
            is_simple_procedure=serial % 10 == 9,
            skill=0.25 if serial % 12 == 11 else 0.93,
            birth_year=birth_date.year,
        )
        cells = {
            "name": name,
            "sex": sex,
            "document_type": "居民身份证",
            "number": number,
            "ethnicity": "汉族",
            "education": "本科",
            "level": list(LEVELS.values())[doctor.is_assistant],
            "category": CATEGORIES[category],
            "registration_number": f"YS{self.province.code}000001",
            "title": "主治医师",
            "department": "门诊部",
            "mobile": mobile,
            "first_registered": f"{birth_date.year + 27}-07-01",
        }
        return doctor, cells

    def _invent_number(self, chance: random.Random, sex: str, birth_date: date) -> str:
        """Returns an invented number of an identity card with a valid check digit."""
        division = CITIES[self.province.code][0][1]
        sequence = chance.randrange(500) * 2 + (sex == "男")
        body = f"{division}{birth_date:%Y%m%d}{sequence:03d}"
        return body + ric.calc_check_digit(body + "0")

    def include_doctors(self, clerk: HttpBrowser, count: int) -> None:
        """Include all doctors of the institution, at least `count`."""
        page = clerk.post(
            "/office/inclusion",
            {"all": "1"},
            page="/office/inclusion",
        )
        included = re.search(r"已纳入 (\d+)", clerk.wait_for_job(page))
        if not included or int(included[1]) < count:
            raise SimulationError("not every doctor was included")

    def review(self, reviewer: HttpBrowser, side: str) -> None:
        """Approve, in batches, all records that wait for `side` (institution or organisation)."""
        seen_ids: set[str] = set()
        while ids := self._pending_ids(reviewer, side, seen_ids):
            seen_ids.update(ids)
            values = {"side": side, "record": ids, "confirmed": "1"}
            self._report_flash(reviewer.wait_for_job(reviewer.post("/office/review/batch", values)))

    def _pending_ids(self, reviewer: HttpBrowser, side: str, seen_ids: set[str]) -> list[str]:
        """Returns the ids of the next waiting records, from as many pages as one batch takes; without
        `seen_ids`."""
        page = reviewer.get(f"/office/review?side={side}")
        ids: list[str] = []
        while True:
            page_ids = _TICK_PATTERN.findall(page)
            ids += [record_id for record_id in page_ids if record_id not in seen_ids]
            next_link = re.search(r'href="(/[^"]+after=[^"]+)"', page)
            if not next_link or len(ids) >= MAX_RECORDS_IN_BATCH:
                return ids
            page = reviewer.follow(next_link[1].replace("&amp;", "&"), "/office/review")

    def schedule_papers(self, admin: HttpBrowser) -> None:
        """Schedule the papers, unless that was done."""
        if "尚未安排" not in admin.get("/office/papers"):
            return
        today = date.today()  # noqa: DTZ011 - a window of days, not a moment
        values = {
            "minutes": "60",
            "opens_at": f"{today - timedelta(days=2)}T08:00",
            "closes_at": f"{today + timedelta(days=60)}T18:00",
        }
        self._report_flash(admin.post("/office/papers", values))

    def approve_pass_lines(self, admin: HttpBrowser, second_admin: HttpBrowser) -> None:
        """Propose all pass lines and have them approved by the second administrator."""
        if "未提出" in admin.get("/office/lines"):
            admin.post("/office/lines", {"all": "1"})
        line_ids = re.findall(
            r'name="line" value="([^"]+)"',
            second_admin.get("/office/lines"),
        )
        if line_ids:
            self._report_flash(second_admin.post("/office/lines/approve", {"line": line_ids}))

    def conclude(self, reviewer: HttpBrowser, count: int) -> None:
        """Conclude records until `count` are concluded; the scheduled task that applies pass lines needs some
        time."""
        deadline = time.monotonic() + JOB_TIMEOUT_SECONDS
        concluded_count = 0
        while concluded_count < count:
            if time.monotonic() > deadline:
                raise SimulationError("the pass lines were not applied to all")
            page = reviewer.post(
                "/office/conclusions",
                {"all": "1"},
                page="/office/conclusions",
            )
            concluded = re.search(r"已评定 (\d+)", reviewer.wait_for_job(page))
            concluded_count += int(concluded[1]) if concluded else 0
            time.sleep(2)

    def publish(self, admin: HttpBrowser, second_admin: HttpBrowser) -> None:
        """Propose a publication of the results and have it approved by the second administrator."""
        page = admin.post("/office/publications", page="/office/publications")
        publication = re.search(
            r"/office/publications/([0-9a-f-]{36})/withdraw",
            admin.wait_for_job(page),
        )
        if not publication:
            raise SimulationError("no publication was proposed")
        path = f"/office/publications/{publication[1]}"
        second_admin.wait_for_job(second_admin.post(f"{path}/approve", page=path))

    def _report_flash(self, page: str) -> None:
        """Report the message of success that the page shows."""
        flash = re.search(r'class="alert alert-success"[^>]*>(.*?)</div>', page)
        if flash:
            self.report(flash[1])
