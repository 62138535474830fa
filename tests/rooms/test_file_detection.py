"""Files that hold questions and are of no kind we read are named with the right remedy, whatever they look
like; those of a kind that we read are not mistaken for them."""

import io
import json
import struct
import zipfile
from itertools import islice
from random import Random

import pytest

from dingkao.errors import InvalidInput
from dingkao.integrations.sandbox import fork_server
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.question_banks.importers import file_detection, word_documents
from dingkao.question_banks.importing import file_import

NAMES = [f"questions-{name}" for name in ("aiken.txt", "bank.doc", "moodle.xml")]
MESSAGES = {
    "questions-aiken.txt": ("这是Aiken格式", "导出为GIFT格式"),
    "questions-bank.doc": ("这是旧版Word文档（.doc）", "另存为.docx"),
    "questions-moodle.xml": ("这是Moodle XML", "选择GIFT格式"),
}


@pytest.fixture
def in_this_process(monkeypatch):
    """What is read is tested here; that it happens in a child, in test_sandbox and by the samples."""
    monkeypatch.setattr(fork_server, "is_sandboxed", True)


def refusal(content, name=""):
    """The sentence by which a file is refused; "" where it is read."""
    try:
        file_import.read_rows(content, ImportReport(), name=name)
    except InvalidInput as refused:
        return refused.message
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_named_with_their_remedy(samples, name):
    sentence = refusal((samples / "faults" / name).read_bytes(), name)
    assert all(words in sentence for words in MESSAGES[name])
    assert "Excel中另存为" not in sentence


def stem(random):
    """Words of a question, some with what looks like another format's signs."""
    return random.choice(
        ["正常体温是", "脉搏是{次/分}", "What is 1 = 1?", "血压(mmHg) ~ 正常", "a -> b 是"]
    ) + str(random.randrange(1000))


def aiken(random):
    mark, colon = random.choice([". ", ") ", "."]), random.choice([":", ": ", "：", " : "])
    end = random.choice(["\n", "\r\n"])
    word = random.choice(["ANSWER", "ANSWER", "Answer", "answer"])
    blocks = [
        end.join(
            [
                stem(random),
                *(f"{letter}{mark}选项{letter}" for letter in "ABCDE"[: random.randrange(2, 6)]),
                f"{word}{colon}A",
            ]
        )
        for _ in range(random.randrange(1, 4))
    ]
    return (end * 2).join(blocks).encode(random.choice(["utf-8", "utf-8-sig", "gb18030", "utf-16"]))


def moodle(random):
    questions_xml = "".join(
        "<question "
        f'type="{random.choice(["multichoice", "truefalse", "category"])}"><name><text>{stem(random).replace(">", "")}</text></name>'
        "<answer fraction='100'><text>{=36 ~39}</text></answer></question>"
        for _ in range(random.randrange(1, 4))
    )
    head = random.choice(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "", "\ufeff<?xml version='1.0'?>\r\n<!-- 题库 -->\n"]
    )
    return f"{head}<quiz>\n{questions_xml}</quiz>".encode()


def qti(random):
    root = random.choice(
        [
            "<questestinterop>{}</questestinterop>",
            '<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1">{}</assessmentItem>',
            (
                "<qti-assessment-item "
                'xmlns="http://www.imsglobal.org/xsd/imsqtiasi_v3p0">{}</qti-assessment-item>'
            ),
            '<ns0:assessmentItem xmlns:ns0="x">{}</ns0:assessmentItem>',
        ]
    )
    text = f'<?xml version="1.0"?>\n{root.format("<item>{=a ~b}</item>")}'.encode()
    if random.random() < 0.5:
        return text
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(random.choice(["imsmanifest.xml", "bank/imsmanifest.xml"]), "<manifest/>")
        archive.writestr("item.xml", text)
    return package.getvalue()


def as_json(random):
    questions = [
        {"stem": stem(random), "options": {"A": "甲", "B": "乙"}, "answer": "A"}
        for _ in range(random.randrange(1, 4))
    ]
    document = random.choice(
        [questions, {"questions": questions}, {"题库": questions, "total": len(questions)}, questions[0]]
    )
    return json.dumps(document, ensure_ascii=random.random() < 0.5, indent=random.choice([None, 2])).encode(
        random.choice(["utf-8", "utf-8-sig"])
    )


def rtf(random):
    return f"{{\\rtf1\\ansi\\ansicpg936 1. {stem(random)}\\par A. x\\par {{=a ~b}}}}".encode("gbk")


def compound(*streams):
    """A compound file (as .doc and .xls were) of one sector a table, its directory naming `streams`."""
    names = ["Root Entry", *streams]
    entries = b""
    for place, name in enumerate(names):
        kind, child, right = (
            (5, 1 if streams else -1, -1) if not place else (2, -1, place + 1 if place < len(streams) else -1)
        )
        text = name.encode("utf-16-le")
        entries += struct.pack(
            "<64sHBBiii16sIQQiII",
            text,
            len(text) + 2,
            kind,
            1,
            -1,
            right,
            child,
            bytes(16),
            0,
            0,
            0,
            -2,
            0,
            0,
        )
    entries = entries.ljust(512, b"\0")
    header = struct.pack(
        "<8s16sHHHHH6xIIiIIiIiI",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        bytes(16),
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        0,
        1,
        1,
        0,
        4096,
        -2,
        0,
        -2,
        0,
    )
    header += struct.pack("<109i", 0, *[-1] * 108)
    return header + struct.pack("<128i", -3, -2, *[-1] * 126) + entries


def doc(random):
    return compound(
        *random.sample(["WordDocument", "1Table", "\x05SummaryInformation"], 3)[:2], "WordDocument"
    )[: random.choice([1536, 1700])]


FOREIGN = {"Aiken": aiken, "Moodle XML": moodle, "QTI": qti, "JSON": as_json, "RTF": rtf, "旧版Word文档": doc}


@pytest.mark.parametrize("what", FOREIGN)
def test_twenty_others_of_each_kind_are_named_too(what, in_this_process):
    random = Random(what)  # noqa: S311 - to be the same each time
    for _ in range(20):
        content = FOREIGN[what](random)
        name = random.choice(["", "题库.txt", "x.gift", "a.xls"])
        sentence = refusal(content, name)
        assert sentence.startswith(f"这是{what}"), (content[:200], sentence)
        assert "请" in sentence or "可先" in sentence


@pytest.mark.parametrize(
    ("streams", "name", "told"),
    [
        (["PowerPoint Document"], "", "PowerPoint"),
        (["EncryptedPackage"], "", "打开密码"),
        ([], "题库.wps", "旧版Word文档"),
        ([], "", "旧版Word文档（.doc）、旧版Excel文件"),
    ],
)
def test_other_compound_files_are_told_by_what_they_hold_and_else_by_their_name(streams, name, told):
    with pytest.raises(InvalidInput, match=told):
        file_detection.refuse_unsupported(compound(*streams), name)
    assert (
        file_detection.detect_format(compound("Workbook"), "题库.doc") not in file_detection.MESSAGE_BY_FORMAT
    )


def zipped(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name.replace("__", "/"), text)
    return buffer.getvalue()


TYPES = "[Content_Types].xml"
MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
OTHER_ARCHIVES = {
    "带宏": zipped(**{TYPES: "vnd.ms-word.document.macroEnabled.main+xml", "word/document.xml": "<x/>"}),
    "Strict": zipped(**{TYPES: MAIN, "word/document.xml": '<w xmlns="http://purl.oclc.org/ooxml/x"/>'}),
    "OpenDocument": zipped(mimetype="application/vnd.oasis.opendocument.text"),
    "PowerPoint": zipped(**{TYPES: "x", "ppt/presentation.xml": "<x/>"}),
    "Pages": zipped(**{"Index/Document.iwa": "x"}),
    "压缩包": zipped(**{"题库.docx": "x"}),
    "PDF": b"%PDF-1.7\n{=a ~b}",
    "图片": b"\x89PNG\r\n\x1a\n",
    "网页": b"<html><body>1. x{=a ~b}</body></html>",
    "Word的XML": b'<?xml version="1.0"?><?mso-application progid="Word.Document"?><w/>',
    "XML文件": b'<?xml version="1.0"?><bank>{=a ~b}</bank>',
    "纯文本": "1. 体温是{单位}\nA. 36\nB. 39\n答案：A\n".encode(),
}


@pytest.mark.parametrize("told", OTHER_ARCHIVES)
def test_what_else_people_hand_in_is_named(told, in_this_process):
    assert told in refusal(OTHER_ARCHIVES[told])


def test_what_we_read_is_not_taken_for_another_kind(in_this_process):
    plain = "题干,选项A,选项B,答案\n体温是,36,39,A\n".encode()
    gift = [
        "体温是{=36 ~39}",
        "<p>体温</p>{=36 ~39}",
        '{"a": 1} 是{=36 ~39}',
        "[html]<table><tr><td>x</td></tr></table>{T}",
        "ANSWER: A\nA. x 是{=36 ~39}",
    ]
    for content in (plain, word_documents.word_template(), *(gift_text.encode() for gift_text in gift)):
        assert file_detection.detect_format(content) not in file_detection.MESSAGE_BY_FORMAT, content[:80]
    assert len(file_import.read_rows(plain, ImportReport())) == 1
    assert len(list(islice(file_import.read_rows(gift[1].encode(), ImportReport()), 2))) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"PK\x03\x04" + bytes(40),
        b"\xd0\xcf\x11\xe0",
        b"<",
        b"{",
        b"[",
        b"\xff\xfe",
        "｛".encode(),
        b"\0" * 9,
    ],
)
def test_pieces_of_files_break_nothing(content):
    assert isinstance(file_detection.detect_format(content, "x"), str)
