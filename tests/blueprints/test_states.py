"""Every state that a move can reach, reached by that move: of a record and of each kind of request; and what
its pages then say."""

import pytest
from sqlalchemy import select

from dingkao.assessments import assessment_transitions as record_moves
from dingkao.assessments.models import ASSESSMENT_STATES, Assessment
from dingkao.blueprints.doctor.state_texts import STATE_TEXTS
from dingkao.database.base import db, new_id
from dingkao.journal.entries import SYSTEM_ACTOR, Actor
from dingkao.requests import request_transitions as request_moves
from dingkao.requests.approval_chains import APPROVAL_CHAINS, CHANGE_CHAIN_BY_STATE
from dingkao.requests.models import OPEN_STATES, REQUEST_KINDS, REQUEST_STATES, Request
from dingkao.tenants import settings
from tests import actors
from tests.blueprints.test_home import EXPECTED_SENTENCES
from tests.repeated_places import add_draft, require_places_repeated

SLUG = "liaoning"
_serial = iter(range(100, 400))
REASON = "材料不清,请核对后办理。"


def rules_of(module):
    """The moves of a module, by verb."""
    return {value.rule.verb: value for value in vars(module).values() if hasattr(value, "rule")}


def ways(moves):
    """Each move from each state that it starts in."""
    return [(verb, start) for verb, move in moves.items() for start in move.rule.from_states]


def way_to(moves, begin, end, without=()):
    """The verbs of the shortest way between two states."""
    ways, waiting = {begin: []}, [begin]
    for state in waiting:
        for verb, move in moves.items():
            if state in move.rule.from_states and move.rule.to_state not in ways and verb not in without:
                ways[move.rule.to_state] = [*ways[state], verb]
                waiting.append(move.rule.to_state)
    return with_confirmation(ways[end])


def with_confirmation(verbs):
    """An absence is confirmed before it is concluded."""
    confirmed = list(verbs)
    for place in range(len(verbs) - 1, 0, -1):
        if verbs[place - 1 : place + 1] == ["miss_test", "conclude"]:
            confirmed.insert(place, "confirm_absence")
    return confirmed


def someone_for(move):
    """One who may make the move."""
    role = sorted(move.rule.allowed_actors)[0]
    return (
        SYSTEM_ACTOR
        if role == "system"
        else Actor("doctor", new_id())
        if role == "doctor"
        else actors.make_actor(role)
    )


RECORD, REQUEST = rules_of(record_moves), rules_of(request_moves)


def given(verbs):
    """What each move of a way is told. Of a way that ends in 不合格 something has failed; of one to the
    changed verdict alone, two things."""
    ethics = "fail" if {"publish_fail", "overturn", "amend"} & set(verbs) else "pass"
    performance = "fail" if "amend" in verbs else "pass"
    return {
        "include": {},
        "exclude": {"reason": REASON},
        "exclude_after_filing": {"reason": REASON},
        "transferred": {},
        "begin_filing": {},
        "submit": {"procedure": "simple" if "accept_without_test" in verbs else "general"},
        "withdraw": {},
        "return_to_doctor": {"reason": REASON},
        "approve": {"performance": performance, "ethics": ethics, "opinion": "同意"},
        "return_to_institution": {"reason": REASON},
        "return_past_institution": {"reason": REASON},
        "accept": {},
        "accept_without_test": {"competence": "pass"},
        "exempt": {},
        "defer": {},
        "begin_test": {},
        "finish_test": {},
        "sit_on_paper": {},
        "reopen_test": {},
        "void_for_another": {},
        "void_as_absent": {},
        "regrade": {"competence": "pass"},
        "miss_test": {},
        "confirm_absence": {},
        "apply_pass_line": {"competence": "pass"},
        "conclude": {},
        "object_to": {"reason": REASON},
        "publish_pass": {},
        "publish_fail": {},
        "overturn": {"verdicts": {"ethics": "pass"}},
        "amend": {"verdicts": {"performance": "pass"}},
    }


FILED = {
    "not_included": "",
    "included": "都填好后，在最后一步",
    "draft": "请核对以下内容。提交后由主要执业机构审核",
    "institution_returned": "退回原因：材料不清",
    "institution_pending": "接下来由主要执业机构审核",
    "organisation_pending": "正在等待考核机构复核",
    "organisation_returned": "您暂时无需操作",
    "ready": "可以申请修改，由机构和考核机构先后决定",
    "deferred": "延考时间请留意消息",
} | dict.fromkeys(
    ("testing", "scored", "absent", "grading", "confirming", "passed", "failed"),
    "测评开始后，所填信息不能修改",
)


@pytest.fixture
def without_test_for_simple(application, in_province):
    """For one test, 简易程序 sits nothing in this province."""

    def put(value):
        with in_province(SLUG):
            settings.change("simple_sits_common_paper", value, by=None, reason="测试")
            db.session.commit()

    changes = []
    yield lambda: changes.append(put(False))
    if changes:
        put(True)


@pytest.mark.parametrize(("verb", "start"), ways(RECORD))
def test_each_move_of_a_record_leads_to_pages_that_say_what_it_means(
    application, in_province, without_test_for_simple, verb, start
):
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(_serial), included=False)
    verbs = with_confirmation(
        [*way_to(RECORD, "not_included", start, without=("accept_without_test",)), verb]
    )
    if "accept_without_test" in verbs:
        without_test_for_simple()
    with in_province(SLUG):
        add_draft(someone.record_id)
        db.session.commit()
    for step in verbs:
        if step == "begin_filing":
            someone.file()
            continue
        with in_province(SLUG):
            record = db.session.scalars(
                select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
            ).one()
            RECORD[step](record, by=someone_for(RECORD[step]), **given(verbs)[step])
            db.session.commit()
            require_places_repeated(someone.record_id)
    state = RECORD[verb].rule.to_state
    assert actors.record_state(in_province, SLUG, someone.record_id) == state
    someone.post("/filing/notice")
    home = someone.get("/home")
    assert EXPECTED_SENTENCES[state].replace("退回原因：材料不清", f"退回原因：{REASON}") in home
    assert STATE_TEXTS[state].next_step in home
    assert "<dt>联系" in home
    words_by_address = {
        "/filing/view": FILED[state],
        "/requests": "可以申请",
        "/result": {"passed": "考核结果：合格", "failed": "接下来怎么办"}.get(state, "尚未发布"),
    }
    for address, words in words_by_address.items():
        answer = someone.client.get(f"/{SLUG}{address}", follow_redirects=True)
        assert answer.status_code == (404 if state == "not_included" and address != "/result" else 200)
        assert (EXPECTED_SENTENCES[state] if state == "not_included" else words) in answer.get_data(
            as_text=True
        )


def test_moves_reach_every_state():
    assert {move.rule.to_state for move in RECORD.values()} == set(ASSESSMENT_STATES)
    assert {move.rule.to_state for move in REQUEST.values()} | {"draft"} == set(REQUEST_STATES)


MEANT = {
    "draft": ("尚未提交。", "否则没有人会办理"),
    "first_pending": ("审核", "您暂时无需操作；审核前可以撤回"),
    "second_pending": ("复审", "您暂时无需操作"),
    "withdrawn": ("已撤回", "重新申请"),
}
ENDED = {
    "exemption": {"granted": "您不需要参加考试", "refused": "请按时参加测评"},
    "deferral": {"granted": "延考时间另行通知", "refused": "请按时参加测评"},
    "change": {"granted": "申请修改的信息已更新", "refused": "按原因补充后重新申请"},
    "correction": {"granted": "申请更正的信息已更新", "refused": "按原因补充后重新申请"},
    "appeal": {"granted": "请查看“考核结果”", "refused": "考核结果不变，后续安排请看“考核结果”"},
}


@pytest.fixture(scope="module")
def asking(application, in_province):
    """A doctor who may ask for each kind."""
    doctor_by_kind = {}
    for kind in REQUEST_KINDS:
        doctor_by_kind[kind] = someone = actors.signed_in_doctor(
            application, in_province, SLUG, next(_serial)
        )
        someone.file()
        actors.advance_to(in_province, someone, "ready")
        if kind == "appeal":
            verbs = way_to(RECORD, "ready", "failed", without=("exempt",))
            with in_province(SLUG):
                record = db.session.scalars(
                    select(Assessment).where(Assessment.id == someone.record_id).with_for_update()
                ).one()
                for verb in verbs:
                    RECORD[verb](record, by=someone_for(RECORD[verb]), **given(verbs)[verb])
                db.session.commit()
    return doctor_by_kind


@pytest.mark.parametrize("kind", REQUEST_KINDS)
def test_each_request_in_each_state_says_what_it_means(asking, in_province, kind):
    someone, reached_states = asking[kind], set()
    first, second = APPROVAL_CHAINS.get(kind) or CHANGE_CHAIN_BY_STATE["ready"]
    arguments = {
        "submit": {},
        "withdraw": {},
        "lapse": {"reason": "已进入考试"},
        "forward": {"opinion": "属实"},
        "grant": {"opinion": "同意"},
        "refuse": {"opinion": REASON},
    }

    def move(row, verb):
        REQUEST[verb](row, by=someone_for(REQUEST[verb]), **arguments[verb])

    for verb, start in [("", "draft"), *ways(REQUEST)]:
        with in_province(SLUG):
            request = add_draft(someone.record_id, kind)
            request.first_side, request.second_side = first, second
            db.session.flush()
            for step in [*way_to(REQUEST, "draft", start), *([verb] if verb else [])]:
                move(request, step)
                require_places_repeated(someone.record_id)
            request_id, state = request.id, request.state
            db.session.commit()
        answer = someone.client.get(f"/{SLUG}/requests/{request_id}")
        page = answer.get_data(as_text=True)
        assert answer.status_code == 200, (verb, start)
        for words in MEANT.get(state) or (ENDED[kind][state], REASON if state == "refused" else "同意"):
            assert words in page, (verb, start, words)
        assert someone.client.get(f"/{SLUG}/requests").status_code == 200
        reached_states.add(state)
        with in_province(SLUG):
            request = db.session.scalars(select(Request).where(Request.id == request_id)).one()
            if request.state in OPEN_STATES:
                move(request, "withdraw" if request.state != "second_pending" else "refuse")
                db.session.commit()
    assert reached_states == set(REQUEST_STATES)
