"""Every door by which a file comes in: small files that ask for much end in a sentence, within a request's
time and memory.

The doors are found in the code of the blueprints, so that one that is new has to be named here.
"""

import ast
import inspect
import io
import random
import re
import time
import zipfile
from functools import cache, partial
from pathlib import Path

import pytest

import dingkao.blueprints
from dingkao.integrations.sandbox import runner
from dingkao.integrations.sandbox.runner import MB, Limits
from dingkao.integrations.spreadsheets import xlsx_writer
from dingkao.uploads import chunked_uploads
from tests import actors, malicious_files, malicious_pictures, malicious_workbooks, sample_data
from tests.blueprints import signed_in_client as blueprint_signed_in_client
from tests.blueprints.signed_in_client import signed_in_client
from tests.blueprints.test_filing_proofs import GOOD
from tests.blueprints.test_large_sheets import Sender
from tests.blueprints.test_platform import operator  # noqa: F401 - a fixture

SLUG, CODE = "gansu", 62
SHORT = Limits(256 * MB, 4, 64 * MB, 10)
"""A request's bounds, but for the time, which a test has little of."""


@cache
def _bomb(make, seed=1):
    return make(random.Random(seed))  # noqa: S311


SHEETS = {
    "far.xlsx": partial(_bomb, malicious_workbooks.far_cell),
    "members.xlsx": partial(_bomb, malicious_workbooks.overlapping),
    "repeated.ods": partial(_bomb, malicious_workbooks.repeated),
}
QUESTIONS = SHEETS | {"laughs.docx": partial(_bomb, malicious_files.word_laughs)}
PICTURES = {
    "huge.png": partial(_bomb, malicious_pictures.huge_png),
    "head.gif": partial(_bomb, malicious_pictures.headed_picture),
}


def _archive(count, size):
    """A zip of empty pictures, of which its directory says that each has so many bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as written:
        for number in range(count):
            written.writestr(f"{number}.jpg", b"")
        for entry in written.filelist:
            entry.file_size = size
    return packed.getvalue()


ARCHIVES = {"bomb.zip": partial(_archive, 2, 1024 * MB), "many.zip": partial(_archive, 2_001, 0)}
DOCUMENTS = PICTURES | {"pixels.pdf": partial(_bomb, malicious_pictures.pixels)}


# --- the doors, found in the code


def _functions(tree):
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _file_fields():
    """The names under which forms have a file."""
    fields = set()
    for path in Path(dingkao.blueprints.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and ast.unparse(node.value.func) == "FileField"
            ):
                fields |= {target.id for target in node.targets}
    return fields


def _takes_a_file(node, functions, fields, met=frozenset()):
    """Whether a function, or one of its module that it calls, reads what was sent beside the fields of a
    form."""
    for part in ast.walk(node):
        words = (
            ast.unparse(part)
            if isinstance(part, ast.Attribute) and part.attr in ("files", "get_data", "stream", "data")
            else ""
        )
        if words in ("request.files", "request.get_data", "request.stream") or words in {
            f"form.{field}.data" for field in fields
        }:
            return True
        called = part.id if isinstance(part, ast.Name) else ""
        if (
            called in functions
            and called not in met
            and _takes_a_file(functions[called], functions, fields, met | {called})
        ):
            return True
    return False


@cache
def _functions_of(path):
    return _functions(ast.parse(path.read_text()))


def doors(app):
    """The endpoints that take a file."""
    fields, endpoints = _file_fields(), set()
    for endpoint, view in app.view_functions.items():
        function = inspect.unwrap(view).__code__
        path = Path(function.co_filename)
        if Path(dingkao.blueprints.__file__).parent in path.parents:
            functions = _functions_of(path)
            if _takes_a_file(functions[function.co_name], functions, fields):
                endpoints.add(endpoint)
    return endpoints


# --- each of them, and what is brought there


@pytest.fixture(scope="module")
def ground(application, in_province):
    actors.exam_setup(application, in_province, SLUG)


@pytest.fixture(scope="module")
def staff(application, in_province, ground):
    return {
        role: signed_in_client(application, in_province, SLUG, role)
        for role in ("province_admin", "question_editor")
    }


@pytest.fixture(scope="module")
def filing(application, in_province, ground):
    """A doctor who files."""
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    someone.post("/filing/notice")
    return someone


@pytest.fixture(scope="module")
def asking(application, in_province, ground):
    """A doctor with a request, and its files' page."""
    someone = actors.ready_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    place = someone.post("/requests/new/exemption", page="/requests/new/exemption").location.removeprefix(
        f"/{SLUG}"
    )
    return someone, f"{place}/files"


@pytest.fixture(scope="module")
def entry(filing):
    """The page of a record with proofs."""
    return (
        filing.post("/filing/list/good_records/new", **GOOD).location.removeprefix(f"/{SLUG}").split("#")[0]
    )


@pytest.fixture(scope="module")
def assisting(application, in_province, ground):
    """A clerk who fills in for a doctor, whose filing is complete; the path of the clerk's pages, that of a
    record with proofs, and the filing's revision."""
    someone = actors.signed_in_doctor(application, in_province, SLUG, next(actors.unused_serials(SLUG)))
    someone.file()
    place = sample_data.registration_number(CODE, 1)
    clerk = signed_in_client(application, in_province, SLUG, "institution_clerk", place)
    base = f"/{SLUG}/office/assist/{someone.record_id}"
    post = partial(blueprint_signed_in_client.post_form, clerk)
    post(f"{base}/begin", page=base, reason="住院")
    page = f"{base}/filing/list/good_records/new"
    record_page = post(page, page=page, **GOOD).location.split("#")[0]
    revision = re.search(r'name="revision" value="(\d+)"', clerk.get(base).get_data(as_text=True))[1]
    return clerk, base, record_page, revision


# endpoint → what is brought there, the field, whose client, the form's page, where it goes, what else is
# filled in
DOORS = {
    "doctors.import_roster": (SHEETS, "file", "province_admin", "/office/roster", "/office/roster", {}),
    "conduct_records.import_records": (
        SHEETS,
        "file",
        "province_admin",
        "/office/conduct/penalty",
        "/office/conduct/penalty",
        {},
    ),
    "departments.import_departments": (
        SHEETS,
        "file",
        "province_admin",
        "/office/departments/import",
        "/office/departments/import",
        {},
    ),
    "photos.import_photos": (ARCHIVES, "file", "province_admin", "/office/photos", "/office/photos", {}),
    "participation.list_comparisons": (
        SHEETS,
        "file",
        "province_admin",
        "/office/register",
        "/office/register",
        {"institution": ""},
    ),
    "institutions.import_institutions": (
        SHEETS,
        "file",
        "province_admin",
        "/office/institutions",
        "/office/institutions/import",
        {},
    ),
    "question_banks.import_questions": (
        QUESTIONS,
        "file",
        "question_editor",
        "/office/banks",
        "/office/banks/import",
        {"bank": "题库甲"},
    ),
    "scoring.import_paper_scores": (
        SHEETS,
        "file",
        "province_admin",
        "/office/offline-scores",
        "/office/offline-scores",
        {},
    ),
    "platform.manage_shared_banks": (QUESTIONS, "file", "operator", "/banks", "/banks", {"bank": "共享甲"}),
    "question_banks.upload_picture": (
        PICTURES,
        "picture",
        "question_editor",
        "/office/banks/pictures",
        "/office/banks/pictures",
        {},
    ),
    "province_settings.propose_seal": (
        PICTURES,
        "seal",
        "province_admin",
        "/office/settings",
        "/office/settings/seal",
        {"reason": "更换"},
    ),
    "filing.photo": (PICTURES, "photo", "filing", "/filing/photo", "/filing/photo", {}),
    "filing.proofs": (DOCUMENTS, "proof", "filing", "/filing/proof", "/filing/proof", {}),
    "filing.upload_entry_proofs": (DOCUMENTS, "proof", "filing", "entry", "entry", {}),
    "assisted_filing.photo": (PICTURES, "photo", "assisting", "/filing/photo", "/filing/photo", {}),
    "assisted_filing.proofs": (DOCUMENTS, "proof", "assisting", "/filing/proof", "/filing/proof", {}),
    "assisted_filing.upload_entry_proofs": (DOCUMENTS, "proof", "assisting", "entry", "entry", {}),
    "assisted_filing.confirm_by_signature": (DOCUMENTS, "signature", "assisting", "", "/signature", {}),
    "requests.files": (DOCUMENTS, "file", "asking", "asking", "asking", {}),
}
PIECES = {
    "roster": (SHEETS, "province_admin", "/office/roster"), "institutions": (SHEETS, "province_admin", "/office/institutions"),
    "questions": (QUESTIONS, "question_editor", "/office/banks"), "scores": (SHEETS, "province_admin", "/office/offline-scores"),
    "conduct": (SHEETS, "province_admin", "/office/conduct/penalty"),
    "photos": (ARCHIVES, "province_admin", "/office/photos"),
    "departments": (SHEETS, "province_admin", "/office/departments/import"),
    "register": (SHEETS, "province_admin", "/office/register"),
    "filing_photo": (PICTURES, "filing", "/filing/photo"), "filing_proof": (DOCUMENTS, "filing", "/filing/proof"),
    "filing_entry_proof": (DOCUMENTS, "filing", "entry"), "request_proof": (DOCUMENTS, "asking", "asking"),
}  # fmt: skip
"""Of what comes in pieces by `uploads.receive_chunk`: purpose → what is brought, by whom, from which page."""


def test_every_door_is_named_here(application):
    assert doors(application) == {*DOORS, "uploads.receive_chunk"}
    assert set(chunked_uploads.REGISTERED_PURPOSES) - {"trial"} == set(PIECES)


def _places(request, who, page):
    """The client of somebody, and the address of a page of theirs."""
    if who == "operator":
        return request.getfixturevalue("operator"), f"/platform{page}"
    if who == "assisting":
        clerk, base, record_page, _ = request.getfixturevalue(who)
        return clerk, record_page if page == "entry" else f"{base}{page}"
    if who in ("filing", "asking"):
        someone = request.getfixturevalue(who)
        someone, files = someone if who == "asking" else (someone, "")
        return (
            someone.client,
            f"/{SLUG}{files or (request.getfixturevalue('entry') if page == 'entry' else page)}",
        )
    return request.getfixturevalue("staff")[who], f"/{SLUG}{page}"


def _within_bounds(act):
    """What an act answers, its child and this process having kept to their bounds."""
    spent = []
    Path("/proc/self/clear_refs").write_text("5")
    began, memory_before = time.monotonic(), malicious_files.peak_memory()
    with malicious_files.override_limits(SHORT, spent):
        answer = act()
    assert time.monotonic() - began < SHORT.wait_seconds + 6
    assert malicious_files.peak_memory() - memory_before < 100
    assert max((memory_before for _, memory_before in spent), default=0) <= SHORT.memory / MB
    return answer


def _sentence(text):
    """A sentence in Chinese that says what is wrong with the file."""
    return re.search(
        r"(文件|图片|文档|内容|表格)[^<>]*?(过多|过大|超过|太多|太大|损坏|读不了|读不完|不能|无法|不完整|不是|没有|不支持)[^<>]*。|这不是可以识别的照片。",
        text,
    )


@pytest.mark.parametrize(
    ("endpoint", "name"), [(endpoint, name) for endpoint, told in DOORS.items() for name in told[0]]
)
def test_a_bomb_ends_in_a_sentence_at_every_door(request, endpoint, name):
    kinds, field, who, page, address, further_fields = DOORS[endpoint]
    client, page = _places(request, who, page)
    base = "/platform" if who == "operator" else f"/{SLUG}"
    if who == "assisting":
        _, base, _, revision = request.getfixturevalue(who)
        further_fields = further_fields | {"revision": revision}
    to = {"entry": f"{page}/proofs", "asking": page}.get(address, base + address)
    answer = _within_bounds(
        lambda: blueprint_signed_in_client.post_form(
            client, to, page=page, **{field: (io.BytesIO(kinds[name]()), name)}, **further_fields
        )
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code in (413, 422), text
    assert _sentence(text), re.findall(r"role=\"alert\".*|invalid-feedback.*", text)


@pytest.mark.parametrize(
    ("purpose", "name"), [(purpose, name) for purpose, told in PIECES.items() for name in list(told[0])[:1]]
)
def test_a_bomb_in_pieces_ends_in_a_sentence_too(request, purpose, name):
    kinds, who, page = PIECES[purpose]
    client, page = _places(request, who, page)
    content, subject = kinds[name](), ""
    if purpose == "filing_entry_proof":
        subject = page.rsplit("/", 1)[1]
    elif purpose == "request_proof":
        subject = page.split("/")[-2]
    sender = Sender(client, page, content, subject, purpose)
    answer = _within_bounds(lambda: sender.send(bank="题库甲", kind="penalty"))
    assert answer.status_code in (413, 422), answer.json
    assert _sentence(answer.json["error"]), answer.json


# --- what is only too large for a request


SOUND = {
    "doctors.import_roster": lambda: sample_data.roster_xlsx(
        [sample_data.roster_row(CODE, next(actors.unused_serials(SLUG)))]
    ),
    "institutions.import_institutions": lambda: xlsx_writer.write_xlsx(
        ["机构名称", "机构登记号", "行政区划代码"], [["后台导入的医院", "PDYDOOR1", "620100"]]
    ),
    "question_banks.import_questions": lambda: xlsx_writer.write_xlsx(
        ["题干", "选项A", "选项B", "答案", "科目"], [["后台导入的题", "甲", "乙", "A", "公共知识"]]
    ),
    "scoring.import_paper_scores": lambda: xlsx_writer.write_xlsx(
        ["准考证号", "姓名", "科目", "成绩"], [["999999999999", "某", "公共知识", 80]]
    ),
}


@pytest.mark.parametrize("endpoint", SOUND)
def test_a_sheet_beyond_the_bounds_of_a_request_is_taken_in_by_a_job(
    application, in_province, request, endpoint, monkeypatch
):
    _, field, who, page, address, further_fields = DOORS[endpoint]
    client, page = _places(request, who, page)
    monkeypatch.setattr(runner, "REQUEST_LIMITS", Limits(256 * MB, 10, 1, 20))
    answer = blueprint_signed_in_client.post_form(
        client,
        f"/{SLUG}{address}",
        page=page,
        **{field: (io.BytesIO(SOUND[endpoint]()), "x.xlsx")},
        **further_fields,
    )
    assert "/office/work/" in answer.location
    actors.run_pending_jobs(application, in_province, SLUG)
    text = client.get(answer.location).get_data(as_text=True)
    assert ("拒绝 1" if endpoint == "scoring.import_paper_scores" else "新增 1") in text


def test_a_shared_bank_beyond_them_is_left_to_the_terminal(operator, monkeypatch):  # noqa: F811
    monkeypatch.setattr(runner, "REQUEST_LIMITS", Limits(256 * MB, 10, 1, 20))
    content = SOUND["question_banks.import_questions"]()
    text = blueprint_signed_in_client.post_form(
        operator, "/platform/banks", bank="共享乙", file=(io.BytesIO(content), "x.xlsx")
    ).get_data(as_text=True)
    assert "dingkao questions share" in text


def test_a_request_has_its_patience_once_for_all_its_files(request, monkeypatch):
    someone = request.getfixturevalue("filing")
    monkeypatch.setattr(runner, "REQUEST_LIMITS", Limits(256 * MB, 1, 64 * MB, 3))
    slow = partial(_bomb, malicious_pictures.multiplied)
    began = time.monotonic()
    proofs = [(io.BytesIO(slow(seed)), f"{seed}.pdf") for seed in range(1, 16)]
    answer = someone.post("/filing/proof", proof=proofs)
    assert (answer.status_code in (413, 503), time.monotonic() - began < 12) == (True, True)
