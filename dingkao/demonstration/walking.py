"""Walking doctors of a demonstration province through the whole cycle by HTTP, as phones and office PCs would, and counting."""

import json
import random
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import httpx
from stdnum.cn import ric

from dingkao.demonstration.provinces import CITIES, PASSWORD
from dingkao.demonstration.states import portrait
from dingkao.doctors.codes import CATEGORIES, LEVELS
from dingkao.doctors.roster import COLUMNS
from dingkao.outside import sheets
from dingkao.tenants.registry import Province

AT_ONCE = 8
PATIENCE_SECONDS = 300
TOTP_SECONDS = 30
UNFINISHED = "<progress"
SCOPES = {"clinical": "11", "dental": "31", "public_health": "41", "chinese": "51"}
REPORT = "在本考核周期内,本人遵守法律法规和诊疗规范,认真履行岗位职责,完成了各项医疗、预防、保健工作。" * 12


class Stuck(RuntimeError):  # noqa: N818
    """The walk met an answer it should not have met; the message says where, and holds no personal data."""


@dataclass
class Tally:
    """What the walk counted: requests, errors, seconds a phase."""

    requests: int = 0
    errors: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase."""
        started = time.monotonic()
        yield
        self.phases[name] = round(time.monotonic() - started, 2)

    def count(self) -> None:
        """One request more."""
        with self.lock:
            self.requests += 1


class Browser:
    """One browser: cookies of its own, an address of its own, forms posted with the token their page shows."""

    def __init__(self, base: str, slug: str, tally: Tally, number: int) -> None:
        source = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}" if "127.0.0.1" in base or "localhost" in base else None
        self.client = httpx.Client(base_url=base, transport=httpx.HTTPTransport(local_address=source), timeout=60)
        self.slug, self.tally = slug, tally
        self.token = self.here = ""

    def get(self, path: str) -> str:
        """A page, wherever it leads."""
        return self._read(self.client.get(f"/{self.slug}{path}", follow_redirects=True), path)

    def post(self, path: str, data: dict[str, Any] | None = None, *, page: str | None = None, files: Any = None) -> str:
        """Post a form of `page` (or of the page seen last) and follow where it leads."""
        if page:
            self.get(page)
        given = {"csrf_token": self.token} | (data or {})
        answer = self.client.post(f"/{self.slug}{path}", data=given, files=files)
        if answer.status_code == 303:
            self.tally.count()
            answer = self.client.get(answer.headers["location"], follow_redirects=True)
        return self._read(answer, path)

    def again(self) -> str:
        """The page seen last, anew."""
        return self._read(self.client.get(self.here), self.here)

    def _read(self, answer: httpx.Response, path: str) -> str:
        self.tally.count()
        self.here = answer.url.path
        if answer.status_code >= 400:
            said = re.search(r'role="alert"[^>]*>(.*?)</', answer.text, re.DOTALL)
            raise Stuck(f"{answer.status_code} at {re.sub(r'[0-9a-f-]{36}', 'ID', path)}: {re.sub('<[^>]+>', '', said[1]).strip() if said else ''}")
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return answer.text


@dataclass
class Walker:
    """A doctor on the way."""

    browser: Browser
    number: str
    name: str
    mobile: str
    category: str
    simple: bool
    skill: float
    born: int
    verdict: str = ""


@dataclass
class Walk:
    """The walk of `doctors` doctors through `province`, served at `base`. `code_of` gives the present second factor of a staff account,
    `keys` the right answer by case, stem and options."""

    base: str
    province: Province
    doctors: int
    code_of: Callable[[str], str]
    keys: dict[str, str]
    tally: Tally = field(default_factory=Tally)
    say: Callable[[str], None] = lambda _: None
    walkers: list[Walker] = field(default_factory=list)

    def walk(self) -> dict[str, Any]:
        """All of it; the counts as design.md's «Commands» names them. Raises Stuck where the offices' part can't go on."""
        started = time.monotonic()
        staff = {name: self._staff(name, number) for number, name in enumerate(("jigou-jingban", "jigou-shenhe", "kaohe-fuhe", "admin", "admin2"))}
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("roster", lambda: self._roster(staff["jigou-jingban"])),
            ("inclusion", lambda: self._include(staff["jigou-jingban"])),
            ("filing", lambda: self._each(self._file)),
            ("review", lambda: self._review(staff["jigou-shenhe"], "institution")),
            ("second_review", lambda: self._review(staff["kaohe-fuhe"], "organisation")),
            ("papers", lambda: self._papers(staff["admin"])),
            ("sitting", lambda: self._each(self._sit)),
            ("pass_lines", lambda: self._lines(staff["admin"], staff["admin2"])),
            ("conclusion", lambda: self._conclude(staff["kaohe-fuhe"])),
            ("publication", lambda: self._publish(staff["admin"], staff["admin2"])),
            ("certificates", lambda: self._each(self._result)),
        )  # fmt: skip
        for name, step in steps:
            with self.tally.phase(name):
                step()
            self.say(f"{name} {self.tally.phases[name]} s")
        verdicts = Counter(walker.verdict for walker in self.walkers)
        return {
            "doctors": self.doctors, "passed": verdicts["passed"], "failed": verdicts["failed"], "seconds": round(time.monotonic() - started, 1),
            "requests": self.tally.requests, "errors": len(self.tally.errors), "phases": self.tally.phases,
        }  # fmt: skip

    def _each(self, step: Callable[[Walker], None]) -> None:
        def guarded(walker: Walker) -> None:
            try:
                step(walker)
            except (Stuck, httpx.HTTPError, KeyError, TypeError, IndexError) as fault:
                with self.tally.lock:
                    self.tally.errors.append(f"{step.__name__}: {type(fault).__name__} {fault}")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(guarded, self.walkers))

    def _say(self, page: str) -> None:
        found = re.search(r'class="alert alert-success"[^>]*>(.*?)</div>', page)
        if found:
            self.say(found[1])

    def _staff(self, user_name: str, number: int) -> Browser:
        browser = Browser(self.base, self.province.slug, self.tally, 60000 + number)
        page = browser.post("/login?staff=1", {"account": user_name, "password": PASSWORD}, page="/login?staff=1")
        for _ in range(3):
            if "动态口令" not in page:
                return browser
            answer = browser.client.post(f"/{self.province.slug}/second-factor", data={"csrf_token": browser.token, "code": self.code_of(user_name)})
            if answer.status_code == 303:
                return browser
            time.sleep(TOTP_SECONDS - time.time() % TOTP_SECONDS + 1)  # each code is good once
        raise Stuck(f"{user_name} could not sign in")

    def _roster(self, clerk: Browser) -> None:
        chance = random.Random(secrets.randbits(64))  # noqa: S311 - for names and dates
        city = CITIES[self.province.code][0]
        start = date(1960, 1, 1) + timedelta(days=chance.randrange(3000))
        rows = []
        for serial in range(self.doctors):
            category, sex = list(CATEGORIES)[serial % 4], chance.choice("男女")
            born = start + timedelta(days=serial)
            body = f"{city[1]}{born:%Y%m%d}{chance.randrange(500) * 2 + (sex == '男'):03d}"
            number = body + ric.calc_check_digit(body + "0")
            name = chance.choice("钱赵孙李周吴郑王冯陈") + chance.choice("文华雅静建国丽娟志远明慧") + chance.choice("春梅晓东玉兰平安")
            mobile = f"17{chance.randrange(10**9):09d}"
            cells = {
                "name": name, "sex": sex, "document_type": "居民身份证", "number": number, "ethnicity": "汉族", "education": "本科",
                "level": list(LEVELS.values())[serial % 5 == 4], "category": CATEGORIES[category], "registration_number": f"YS{self.province.code}000001",
                "title": "主治医师", "department": "门诊部", "mobile": mobile, "first_registered": f"{born.year + 27}-07-01",
            }  # fmt: skip
            rows.append([cells.get(column, "") for column in COLUMNS])
            browser = Browser(self.base, self.province.slug, self.tally, serial + 1)
            self.walkers.append(Walker(browser, number, name, mobile, category, serial % 10 == 9, 0.25 if serial % 12 == 11 else 0.93, born.year))
        content = sheets.write([names[0] for names in COLUMNS.values()], rows)
        page = clerk.post("/office/roster", page="/office/roster", files={"file": ("名单.xlsx", content)})
        page = self._finished(clerk, page)
        if f"新增 {self.doctors}," not in page:
            raise Stuck("the roster was not taken in whole")

    def _include(self, clerk: Browser) -> None:
        page = self._finished(clerk, clerk.post("/office/inclusion", {"all": "1"}, page="/office/inclusion"))
        found = re.search(r"已纳入 (\d+)", page)
        if not found or int(found[1]) < self.doctors:
            raise Stuck("not everyone was put on the list")

    def _finished(self, browser: Browser, page: str) -> str:
        """Wait for the job whose page this is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while UNFINISHED in page:
            if time.monotonic() > deadline:
                raise Stuck("a job did not end")
            time.sleep(1)
            page = browser.again()
        return page

    def _file(self, walker: Walker) -> None:
        browser = walker.browser
        browser.post("/login", {"account": walker.number, "password": "666666"}, page="/login")
        browser.post("/password/first", {"mobile": walker.mobile, "send": "1"})
        reader, sent = Browser(self.base, self.province.slug, self.tally, 1), None
        for pause in (0, 0.2, 1, 3):  # it leaves after the request
            if sent is None:
                time.sleep(pause)
                sent = re.search(rf'<p>{walker.mobile}</p>\s*<p class="sms">.*?(\d{{6}})', reader.get("/outbox"))
        if not sent:
            raise Stuck("the code did not arrive")
        browser.get("/password/first")
        first = {"old_password": "666666", "new_password": PASSWORD, "again": PASSWORD, "mobile": walker.mobile, "sms_code": sent[1]}
        browser.post("/password/first", first)
        browser.post("/filing/notice", page="/filing/notice")
        basic = {"ethnicity": "汉族", "education": "本科", "degree": "学士", "school": "医学院", "graduated": f"{walker.born + 23}-07", "working_since": f"{walker.born + 23}-08"}
        self._step(browser, 1, basic)
        browser.post("/filing/photo", page="/filing/photo", files={"photo": ("photo.jpg", portrait(uuid4()))})
        practice = {
            "scope": SCOPES[walker.category], "qualification": f"{walker.born + 24}{self.province.code}110{walker.number}", "qualified": f"{walker.born + 24}-12-01",
            "practice": f"110{walker.number[:6]}{walker.number[-7:-1]}", "registered": f"{walker.born + 27}-07-01", "department": "门诊部", "title": "其他",
            "employment": "在职", "specialty_years": "20",
        }  # fmt: skip
        self._step(browser, 2, practice)
        for kind, entry in (
            ("education", {"name": "医学院", "education": "本科", "since": f"{walker.born + 18}-09", "until": f"{walker.born + 23}-07"}),
            ("practice", {"name": "人民医院", "since": f"{walker.born + 23}-08"}),
        ):  # fmt: skip
            browser.post(f"/filing/list/{kind}/new", entry, page=f"/filing/list/{kind}/new")
        work = {"good_record": "no", "bad_record": "no", "quantity": "pass", "quality": "pass", "ordered_tasks": "pass", "direct_fail": "no"}
        self._step(browser, 4, work)
        last = {"procedure": "simple", "ground": "clean", "report": REPORT} if walker.simple else {"procedure": "general"}
        self._step(browser, 5, last | {"promise": "yes"})
        if "撤回" not in browser.post("/filing/submit", page="/filing/check"):
            raise Stuck("the filing was not handed in")

    def _step(self, browser: Browser, number: int, data: dict[str, str]) -> None:
        revision = re.search(r'name="revision" value="(\d+)"', browser.get(f"/filing/{number}"))
        browser.post(f"/filing/{number}", data | {"revision": revision[1] if revision else "0"})

    def _review(self, reviewer: Browser, side: str) -> None:
        """Everyone who waits, page by page, a batch each."""
        seen: set[str] = set()
        for _ in range(self.doctors):
            page, ids = reviewer.get(f"/office/review?side={side}"), []
            while True:
                ids += [one for one in re.findall(r'name="record" value="([^"]+)"', page) if one not in seen]
                onward = re.search(r'href="(/[^"]+after=[^"]+)"', page)
                if not onward or len(ids) >= 400:
                    break
                page = reviewer._read(reviewer.client.get(onward[1].replace("&amp;", "&")), "/office/review")
            if not ids:
                return
            seen.update(ids)
            self._say(reviewer.post("/office/review/batch", {"side": side, "record": ids, "confirmed": "1"}))

    def _papers(self, admin: Browser) -> None:
        page = admin.get("/office/papers")
        if "尚未安排" in page:
            today = date.today()  # noqa: DTZ011 - a window of days, not a moment
            window = {"minutes": "60", "opens_at": f"{today - timedelta(days=2)}T08:00", "closes_at": f"{today + timedelta(days=60)}T18:00"}
            self._say(admin.post("/office/papers", window))

    def _sit(self, walker: Walker) -> None:
        browser = walker.browser
        ticket = re.search(r'data-copy="(\d+)"', browser.get("/home"))
        if not ticket:
            raise Stuck("no ticket")
        page = browser.post("/sitting", {"name": walker.name, "number": ticket[1], "consent": "yes"}, page="/sitting")
        chance = random.Random(walker.number)  # noqa: S311 - which answers are right
        for paper in re.findall(r"/sitting/paper/([0-9a-f-]{36})", page):
            page = browser.post(f"/sitting/paper/{paper}", {"promise": "yes"}, page=f"/sitting/paper/{paper}")
            found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
            if not found:
                raise Stuck("the paper did not open")
            data = json.loads(found[1])
            for sequence, question in enumerate(data["questions"], 1):
                key = self.keys[key_of(question["case"], question["stem"], question["options"])]
                letters = key if chance.random() < walker.skill else question["options"][chance.randrange(2)][0]
                body = {"position": question["position"], "letters": letters, "sequence": sequence, "tapped": data["now"] + sequence}
                self.tally.count()
                answer = browser.client.post(data["address"], json=body, headers={"X-Sitting": data["token"]})
                if answer.status_code != 200:
                    raise Stuck(f"{answer.status_code} at an answer")
            page = browser.post(f"/sitting/{data['id']}/hand-in")
            if "考试结束" not in page:
                raise Stuck("the paper was not handed in")

    def _lines(self, one: Browser, other: Browser) -> None:
        if "未提出" in one.get("/office/lines"):
            one.post("/office/lines", {"all": "1"})
        waiting = re.findall(r'name="line" value="([^"]+)"', other.get("/office/lines"))
        if waiting:
            self._say(other.post("/office/lines/approve", {"line": waiting}))

    def _conclude(self, reviewer: Browser) -> None:
        """Until everyone who has been scored has been concluded: the lines are applied by a duty, in its own time."""
        deadline, concluded = time.monotonic() + PATIENCE_SECONDS, 0
        while concluded < self.doctors - len(self.tally.errors):
            if time.monotonic() > deadline:
                raise Stuck("the pass lines were not applied to all")
            page = self._finished(reviewer, reviewer.post("/office/conclusions", {"all": "1"}, page="/office/conclusions"))
            found = re.search(r"已评定 (\d+)", page)
            concluded += int(found[1]) if found else 0
            time.sleep(2)

    def _publish(self, one: Browser, other: Browser) -> None:
        page = one.post("/office/publications", page="/office/publications")
        found = re.search(r"/office/publications/([0-9a-f-]{36})/list.xlsx", page)
        if not found:
            raise Stuck("no list was made")
        place = f"/office/publications/{found[1]}"
        self._finished(other, other.post(f"{place}/approve", page=place))

    def _result(self, walker: Walker) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            page = walker.browser.get("/result")
            if "考核结果:不合格" in page:
                walker.verdict = "failed"
                return
            if "长按上面图片可" in page:
                break
            if time.monotonic() > deadline:
                raise Stuck("the certificate was not drawn")
            time.sleep(2)
        address = re.search(r'src="([^"]+/certificate\.png)', page)
        if address is None:
            raise Stuck("the page shows no certificate")
        picture = walker.browser.client.get(address[1])
        self.tally.count()
        serial = re.search(r"\d{6}KH\d{9}", page)
        public = walker.browser.client.get(f"/verify/{serial[0]}") if serial else None
        self.tally.count()
        if not picture.content.startswith(b"\x89PNG") or public is None or "有效" not in public.text:
            raise Stuck("the certificate could not be fetched or verified")
        walker.verdict = "passed"


Shown = str | dict[str, str]
"""Words as a page gets them (content.shown)."""


def key_of(case: Shown, stem: Shown, options: Iterable[Sequence[Any]]) -> str:
    """What a question is known by: its words as they are shown, in whatever order its options are, wherever its pictures lie."""
    return "\x1e".join([_words(case or ""), _words(stem), *sorted(f"{letter}{_words(words)}" for letter, words in options)])


def _words(shown: Shown) -> str:
    return shown if isinstance(shown, str) else re.sub(r'src="[^"]*/', 'src="', shown["html"])
