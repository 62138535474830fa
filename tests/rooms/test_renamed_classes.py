"""For one release: what was queued and put by before the modules were renamed is still run and read."""

import base64
from datetime import date

from rq.utils import import_attribute

from dingkao.integrations.sandbox.plain_data import load_plain_data
from dingkao.integrations.spreadsheets.cells import CellProblem, FormattedNumber, RichText
from dingkao.integrations.spreadsheets.import_rows import ImportRow
from dingkao.jobs import worker

WRITTEN_BEFORE = (
    "gASVtQEAAAAAAABdlIwWZGluZ2thby5vdXRzaWRlLnNoZWV0c5SMA1Jvd5STlCmBlH2UKIwGbnVtYmVylEsHjAVjZWxsc5R9"
    "lCiMBG5hbWWUjBVkaW5na2FvLm91dHNpZGUuY2VsbHOUjAZSYWlzZWSUk5QpgZR9lCiMBXBsYWlulIwDSDJPlIwGbWFya2Vk"
    "lIwOSDxzdWI+Mjwvc3ViPk+UdWKMA2RheZRoCowFU2hvd26Uk5QpgZR9lCiMBXZhbHVllEc/+AAAAAAAAIwEdGV4dJSMBDEu"
    "NTCUdWJ1jAVzaGVldJSMBuWQjeWNlZSMBGxlYWSUjAblvKDkuImUjAVmbGF3c5R9lGgGaAqMBEZsYXeUk5QpgZR9lCiMBnJl"
    "YXNvbpSMFeWNleWFg+agvOmHjOaYr+WbvueJh5SMBnJlbWVkeZSMEuivt+aUueWhq+aWh+Wtl+OAgpSMBXNob3dulIwD5Zu+"
    "lHVic4wIcGljdHVyZWSUiIwEemVyb5SMCGRhdGV0aW1llIwEZGF0ZZSTlEMEB3ABAZSFlFKUjAVsaW5rc5SMEWh0dHBzOi8v"
    "YS5leGFtcGxllIWUdWJhLg=="
)


def test_a_part_written_under_the_former_names_is_read():
    [read] = load_plain_data(base64.b64decode(WRITTEN_BEFORE))
    assert read == ImportRow(
        7,
        {"name": RichText("H2O", "H<sub>2</sub>O"), "day": FormattedNumber(1.5, "1.50")},
        "名单",
        "张三",
        {"number": CellProblem("单元格里是图片", "请改填文字。", "图")},
        True,
        date(1904, 1, 1),
        ("https://a.example",),
    )
    assert type(read) is ImportRow
    assert read.problems["number"].displayed_text == "图"


def test_a_job_queued_under_the_former_name_is_run():
    assert import_attribute("dingkao.jobs.performing.perform") is worker.run_in_tenant
