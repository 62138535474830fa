"""The steps of a simulated doctor: first sign-in, filing, sitting the exam, fetching the result."""

import json
import random
import re
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from dingkao.demonstration.sample_portraits import draw_portrait
from dingkao.demonstration.seed import PASSWORD
from dingkao.demonstration.simulation.http_browser import (
    JOB_TIMEOUT_SECONDS,
    HttpBrowser,
)
from dingkao.demonstration.simulation.metrics import SimulationError
from dingkao.demonstration.simulation.question_keys import (
    question_key,
)
from dingkao.doctors.code_lists import CATEGORIES

SCOPES = {
    "clinical": "11",
    "dental": "31",
    "public_health": "41",
    "chinese": "51",
}
SAMPLE_REPORT = (
    "在本考核周期内，本人遵守法律法规和诊疗规范，认真履行岗位职责，完成了各项医疗、预防、保健工作。" * 12
)
WORK_VALUES = {
    "good_record": "no",
    "bad_record": "no",
    "quantity": "pass",
    "quality": "pass",
    "ordered_tasks": "pass",
    "direct_fail": "no",
}
INITIAL_PASSWORD = "666666"  # noqa: S105 - what every new doctor has


@dataclass
class SimulatedDoctor:
    """A doctor of the simulation. `number`: that of the identity document; `skill`: share of right answers (0
    to 1); `verdict`: passed, failed, or "" while it is unknown."""

    browser: HttpBrowser
    number: str
    name: str
    mobile: str
    category: str
    is_assistant: bool
    is_simple_procedure: bool
    skill: float
    birth_year: int
    verdict: str = ""


@dataclass
class DoctorSteps:
    """The steps of the doctors. `keys`: question key → right answer letters; `outbox_reader`: a browser that
    reads the province's outbox of short messages."""

    province_code: int
    keys: dict[str, str]
    outbox_reader: HttpBrowser

    def file(self, doctor: SimulatedDoctor) -> None:
        """Sign in for the first time, fill in the filing and submit it. Raises SimulationError."""
        self._sign_in_first(doctor)
        browser, year = doctor.browser, doctor.birth_year
        browser.post("/filing/notice", page="/filing/notice")
        basic_values = {
            "ethnicity": "汉族",
            "education": "本科",
            "degree": "学士",
            "school": "医学院",
            "graduated": f"{year + 23}-07",
            "working_since": f"{year + 23}-08",
        }
        _save_step(browser, 1, basic_values)
        photo = ("photo.jpg", draw_portrait(uuid4()))
        browser.post(
            "/filing/photo",
            page="/filing/photo",
            files={"photo": photo},
        )
        _save_step(browser, 2, self._practice_values(doctor))
        _add_entry(browser, "education", _education_entry(year))
        _add_entry(
            browser,
            "practice",
            {"name": "人民医院", "since": f"{year + 23}-08"},
        )
        _save_step(browser, 4, WORK_VALUES)
        _save_step(browser, 5, _procedure_values(doctor) | {"promise": "yes"})
        if "撤回" not in browser.post("/filing/submit", page="/filing/check"):
            raise SimulationError("the filing was not submitted")

    def _sign_in_first(self, doctor: SimulatedDoctor) -> None:
        """Sign in with the initial password, and set another one with the code sent to the mobile number.
        Raises SimulationError."""
        browser = doctor.browser
        credentials = {
            "account": doctor.number,
            "password": INITIAL_PASSWORD,
        }
        browser.post("/login", credentials, page="/login")
        browser.post("/password/first", {"mobile": doctor.mobile, "send": "1"})
        code = self._read_code(doctor.mobile)
        browser.get("/password/first")
        values = {
            "old_password": INITIAL_PASSWORD,
            "new_password": PASSWORD,
            "again": PASSWORD,
            "mobile": doctor.mobile,
            "sms_code": code,
        }
        browser.post("/password/first", values)

    def _read_code(self, mobile: str) -> str:
        """Returns the code sent to a mobile number, waiting some seconds for it. Raises SimulationError."""
        for pause_seconds in (0, 0.2, 1, 3):
            time.sleep(pause_seconds)
            outbox = self.outbox_reader.get("/outbox")
            code = re.search(
                rf'<p>{mobile}</p>\s*<p class="sms">.*?(\d{{6}})',
                outbox,
            )
            if code:
                return code[1]
        raise SimulationError("the code did not arrive")

    def _practice_values(self, doctor: SimulatedDoctor) -> dict[str, str]:
        """Returns the form values of the step about practice."""
        year, number = doctor.birth_year, doctor.number
        codes = f"{1 + doctor.is_assistant}{list(CATEGORIES).index(doctor.category) + 1}0"
        return {
            "scope": SCOPES[doctor.category],
            "qualification": f"{year + 24}{self.province_code}{codes}{number}",
            "qualified": f"{year + 24}-12-01",
            "practice": f"{codes}{number[:6]}{number[-7:-1]}",
            "registered": f"{year + 27}-07-01",
            "department": "门诊部",
            "title": "其他",
            "employment": "在职",
            "specialty_years": "20",
        }

    def sit_papers(self, doctor: SimulatedDoctor) -> None:
        """Sit all papers of the exam. Raises SimulationError."""
        browser = doctor.browser
        ticket = re.search(r'data-copy="(\d+)"', browser.get("/home"))
        if not ticket:
            raise SimulationError("no ticket")
        values = {
            "name": doctor.name,
            "number": ticket[1],
            "consent": "yes",
        }
        page = browser.post("/sitting", values, page="/sitting")
        chance = random.Random(doctor.number)  # noqa: S311 - which answers are right
        for paper_id in re.findall(r"/sitting/paper/([0-9a-f-]{36})", page):
            self._sit_paper(doctor, f"/sitting/paper/{paper_id}", chance)

    def _sit_paper(
        self,
        doctor: SimulatedDoctor,
        path: str,
        chance: random.Random,
    ) -> None:
        """Open the paper at `path`, answer all questions and hand in. Raises SimulationError."""
        browser = doctor.browser
        page = browser.post(path, {"promise": "yes"}, page=path)
        script_data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
        if not script_data:
            raise SimulationError("the paper did not open")
        data = json.loads(script_data[1])
        for sequence, question in enumerate(data["questions"], 1):
            letters = self._choose_letters(question, doctor.skill, chance)
            _send_answer(browser, data, question["position"], letters, sequence)
        if "考试结束" not in browser.post(f"/sitting/{data['id']}/hand-in"):
            raise SimulationError("the paper was not handed in")

    def _choose_letters(
        self,
        question: dict[str, Any],
        skill: float,
        chance: random.Random,
    ) -> str:
        """Returns the right answer with the probability `skill`, else one of the first two options."""
        right_letters = self.keys[
            question_key(
                question["case"],
                question["stem"],
                question["options"],
            )
        ]
        if chance.random() < skill:
            return right_letters
        return str(question["options"][chance.randrange(2)][0])

    def fetch_result(self, doctor: SimulatedDoctor) -> None:
        """Wait for the result; if it is passed, fetch the certificate and look it up. Raises
        SimulationError."""
        deadline = time.monotonic() + JOB_TIMEOUT_SECONDS
        while True:
            page = doctor.browser.get("/result")
            if "考核结果：不合格" in page:
                doctor.verdict = "failed"
                return
            if "长按上面图片可" in page:
                break
            if time.monotonic() > deadline:
                raise SimulationError("the certificate was not drawn")
            time.sleep(2)
        _verify_certificate(doctor.browser, page)
        doctor.verdict = "passed"


def _save_step(browser: HttpBrowser, number: int, values: dict[str, str]) -> None:
    """Save step `number` of the filing, with the revision that its page shows. Raises SimulationError."""
    revision = re.search(
        r'name="revision" value="(\d+)"',
        browser.get(f"/filing/{number}"),
    )
    browser.post(
        f"/filing/{number}",
        values | {"revision": revision[1] if revision else "0"},
    )


def _add_entry(browser: HttpBrowser, kind: str, values: dict[str, str]) -> None:
    """Add an entry to the list `kind` of the filing. Raises SimulationError."""
    path = f"/filing/list/{kind}/new"
    browser.post(path, values, page=path)


def _education_entry(birth_year: int) -> dict[str, str]:
    return {
        "name": "医学院",
        "education": "本科",
        "since": f"{birth_year + 18}-09",
        "until": f"{birth_year + 23}-07",
    }


def _procedure_values(doctor: SimulatedDoctor) -> dict[str, str]:
    """Returns the form values of the step about the procedure."""
    if doctor.is_simple_procedure:
        return {
            "procedure": "simple",
            "ground": "clean",
            "report": SAMPLE_REPORT,
        }
    return {"procedure": "general"}


def _send_answer(
    browser: HttpBrowser,
    data: dict[str, Any],
    position: int,
    letters: str,
    sequence: int,
) -> None:
    """Send an answer to the page's script address. Raises SimulationError unless the status is 200."""
    body = {
        "position": position,
        "letters": letters,
        "sequence": sequence,
        "tapped": data["now"] + sequence,
    }
    browser.metrics.count()
    response = browser.client.post(
        data["address"],
        json=body,
        headers={"X-Sitting": data["token"]},
    )
    if response.status_code != 200:
        raise SimulationError(f"{response.status_code} at an answer")


def _verify_certificate(browser: HttpBrowser, page: str) -> None:
    """Fetch the certificate that the page shows, and look it up on the public page. Raises
    SimulationError."""
    address = re.search(r'src="([^"]+/certificate\.png)', page)
    if address is None:
        raise SimulationError("the page shows no certificate")
    picture = browser.client.get(address[1])
    browser.metrics.count()
    serial = re.search(r"\d{6}KH\d{9}", page)
    public_page = browser.client.get(f"/verify/{serial[0]}").text if serial else ""
    browser.metrics.count()
    if not picture.content.startswith(b"\x89PNG") or "有效" not in public_page:
        raise SimulationError("the certificate could not be fetched or verified")
