"""Every state that a move can reach, reached by that move: of a record and of each kind of request; and what its pages then say."""

import pytest
from sqlalchemy import select

from dingkao.assessments import moves as record_moves
from dingkao.assessments.models import STATES, Assessment
from dingkao.blueprints.home import STANDINGS
from dingkao.database.model import db, new_id
from dingkao.journal.writing import SYSTEM, Actor
from dingkao.requests import moves as request_moves
from dingkao.requests.making import CHAINS, OF_CHANGE
from dingkao.requests.models import KINDS, OPEN, Request
from dingkao.requests.models import STATES as REQUEST_STATES
from dingkao.tenants import settings
from tests import people
from tests.blueprints.test_home import SAID

SLUG = "liaoning"
_serial = iter(range(100, 400))
REASON = "材料不清,请核对后办理。"


def rules_of(module):
    """The moves of a module, by verb."""
    return {name: one for name, one in vars(module).items() if hasattr(one, "rule")}


def ways(moves):
    """Each move from each state that it starts in."""
    return [(verb, start) for verb, one in moves.items() for start in one.rule.starts]


def way_to(moves, begin, end, without=()):
    """The verbs of the shortest way between two states."""
    ways, waiting = {begin: []}, [begin]
    for state in waiting:
        for verb, one in moves.items():
            if state in one.rule.starts and one.rule.to not in ways and verb not in without:
                ways[one.rule.to] = [*ways[state], verb]
                waiting.append(one.rule.to)
    return ways[end]


def someone_for(move):
    """One who may make the move."""
    role = sorted(move.rule.actors)[0]
    return SYSTEM if role == "system" else Actor("doctor", new_id()) if role == "doctor" else people.actor(role)


RECORD, REQUEST = rules_of(record_moves), rules_of(request_moves)


def given(verbs):
    """What each move of a way is told. Of a way that ends in 不合格 something has failed; of one to the changed verdict alone, two things."""
    ethics = "fail" if {"publish_fail", "overturn", "amend"} & set(verbs) else "pass"
    performance = "fail" if "amend" in verbs else "pass"
    return {
        "include": {}, "exclude": {"reason": REASON}, "begin_filing": {}, "submit": {"procedure": "simple" if "accept_without_test" in verbs else "general"}, "withdraw": {},
        "return_to_doctor": {"reason": REASON}, "approve": {"performance": performance, "ethics": ethics, "opinion": "同意"}, "return_to_institution": {"reason": REASON},
        "return_past_institution": {"reason": REASON}, "accept": {}, "accept_without_test": {"competence": "pass"}, "exempt": {}, "defer": {}, "begin_test": {}, "finish_test": {},
        "sit_on_paper": {}, "reopen_test": {}, "void_for_another": {}, "void_as_absent": {}, "regrade": {"competence": "pass"}, "miss_test": {}, "apply_pass_line": {"competence": "pass"}, "conclude": {}, "object_to": {"reason": REASON}, "publish_pass": {}, "publish_fail": {},
        "overturn": {"verdicts": {"ethics": "pass"}}, "amend": {"verdicts": {"performance": "pass"}},
    }  # fmt: skip


FILED = {
    "not_included": "", "included": "都填好后,在最后一步", "draft": "请核对以下内容。提交后由主要执业机构审核", "institution_returned": "退回原因:材料不清",
    "institution_pending": "接下来由主要执业机构审核", "organisation_pending": "正在等待考核机构复核", "organisation_returned": "您暂时无需操作", "ready": "可以申请修改,由机构和考核机构先后决定",
    "deferred": "延考时间请留意消息",
} | dict.fromkeys(("testing", "scored", "absent", "grading", "confirming", "passed", "failed"), "测评开始后,所填信息不能修改")  # fmt: skip


@pytest.fixture
def without_test_for_simple(application, in_province):
    """For one test, 简易程序 sits nothing in this province."""

    def put(value):
        with in_province(SLUG):
            settings.change("simple_sits_common_paper", value, by=None, reason="测试")
            db.session.commit()

    asked = []
    yield lambda: asked.append(put(False))
    if asked:
        put(True)


@pytest.mark.parametrize(("verb", "start"), ways(RECORD))
def test_each_move_of_a_record_leads_to_pages_that_say_what_it_means(application, in_province, without_test_for_simple, verb, start):
    someone = people.doctor(application, in_province, SLUG, next(_serial), included=False)
    verbs = [*way_to(RECORD, "not_included", start, without=("accept_without_test",)), verb]
    if "accept_without_test" in verbs:
        without_test_for_simple()
    for one in verbs:
        if one == "begin_filing":
            someone.file()
            continue
        with in_province(SLUG):
            record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
            RECORD[one](record, by=someone_for(RECORD[one]), **given(verbs)[one])
            db.session.commit()
    state = RECORD[verb].rule.to
    assert people.state_of(in_province, SLUG, someone.record_id) == state
    someone.post("/filing/notice")
    home = someone.get("/home")
    assert SAID[state].replace("退回原因:材料不清", f"退回原因:{REASON}") in home
    assert STANDINGS[state].onward in home
    assert "<dt>联系" in home
    said = {"/filing/view": FILED[state], "/requests": "可以申请", "/result": {"passed": "考核结果:合格", "failed": "接下来怎么办"}.get(state, "尚未发布")}
    for address, words in said.items():
        answer = someone.client.get(f"/{SLUG}{address}", follow_redirects=True)
        assert answer.status_code == (404 if state == "not_included" and address != "/result" else 200)
        assert (SAID[state] if state == "not_included" else words) in answer.get_data(as_text=True)


def test_moves_reach_every_state():
    assert {one.rule.to for one in RECORD.values()} == set(STATES)
    assert {one.rule.to for one in REQUEST.values()} | {"draft"} == set(REQUEST_STATES)


MEANT = {"draft": ("尚未提交。", "否则没有人会办理"), "first_pending": ("审核", "您暂时无需操作;审核前可以撤回"), "second_pending": ("复审", "您暂时无需操作"), "withdrawn": ("已撤回", "重新申请")}
ENDED = {
    "exemption": {"granted": "您不需要参加考试", "refused": "请按时参加测评"}, "deferral": {"granted": "延考时间另行通知", "refused": "请按时参加测评"},
    "change": {"granted": "申请修改的信息已更新", "refused": "按原因补充后重新申请"}, "correction": {"granted": "申请更正的信息已更新", "refused": "按原因补充后重新申请"},
    "appeal": {"granted": "请查看“考核结果”", "refused": "考核结果不变,后续安排请看“考核结果”"},
}  # fmt: skip


@pytest.fixture(scope="module")
def asking(application, in_province):
    """A doctor who may ask for each kind."""
    made = {}
    for kind in KINDS:
        made[kind] = someone = people.doctor(application, in_province, SLUG, next(_serial))
        someone.file()
        people.bring_to(in_province, someone, "ready")
        if kind == "appeal":
            verbs = way_to(RECORD, "ready", "failed", without=("exempt",))
            with in_province(SLUG):
                record = db.session.scalars(select(Assessment).where(Assessment.id == someone.record_id).with_for_update()).one()
                for verb in verbs:
                    RECORD[verb](record, by=someone_for(RECORD[verb]), **given(verbs)[verb])
                db.session.commit()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_each_request_in_each_state_says_what_it_means(asking, in_province, kind):
    someone, seen = asking[kind], set()
    first, second = CHAINS.get(kind) or OF_CHANGE["ready"]
    told = {"submit": {}, "withdraw": {}, "forward": {"opinion": "属实"}, "grant": {"opinion": "同意"}, "refuse": {"opinion": REASON}}

    def move(row, verb):
        REQUEST[verb](row, by=someone_for(REQUEST[verb]), **told[verb])

    for verb, start in [("", "draft"), *ways(REQUEST)]:
        with in_province(SLUG):
            row = Request(id=new_id(), assessment_id=someone.record_id, kind=kind, state="draft", first_side=first, second_side=second)
            db.session.add(row)
            db.session.flush()
            for one in [*way_to(REQUEST, "draft", start), *([verb] if verb else [])]:
                move(row, one)
            request_id, state = row.id, row.state
            db.session.commit()
        answer = someone.client.get(f"/{SLUG}/requests/{request_id}")
        page = answer.get_data(as_text=True)
        assert answer.status_code == 200, (verb, start)
        for words in MEANT.get(state) or (ENDED[kind][state], REASON if state == "refused" else "同意"):
            assert words in page, (verb, start, words)
        assert someone.client.get(f"/{SLUG}/requests").status_code == 200
        seen.add(state)
        with in_province(SLUG):
            row = db.session.scalars(select(Request).where(Request.id == request_id)).one()
            if row.state in OPEN:
                move(row, "withdraw" if row.state != "second_pending" else "refuse")
                db.session.commit()
    assert seen == set(REQUEST_STATES)
