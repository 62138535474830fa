"""政策资讯 and 百问百答: written and published in the console, read and searched by anyone."""

import html
import re
from uuid import uuid4

import pytest
from sqlalchemy import delete, select

from dingkao.articles.default_answers import ANSWERS, HELP_BY_TOPIC
from dingkao.articles.models import Article
from dingkao.database.base import db
from dingkao.journal.models import JournalEntry
from tests.blueprints.signed_in_client import post_form, signed_in_client

OFFICE = "/shanxi/office/articles"


@pytest.fixture
def admin(application, provinces, in_province):
    with in_province("shanxi"):
        db.session.execute(delete(Article))
        db.session.commit()
    return signed_in_client(application, in_province, "shanxi", "province_admin")


@pytest.fixture
def anyone(application, provinces):
    return application.test_client()


def read(client, address, slug="shanxi"):
    return html.unescape(client.get(f"/{slug}{address}").get_data(as_text=True))


def write(admin, kind="news", publish=True, **given):
    data = (
        {"title": "关于报名的通知", "body": "请按时报名。"}
        | ({"category": "filing", "topic": ""} if kind == "faq" else {})
        | given
    )
    answer = post_form(admin, f"{OFFICE}/new?kind={kind}", **data, **({"publish": "1"} if publish else {}))
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.location.rsplit("/", 1)[1].split("?")[0]


def titles(page):
    return re.findall(r"<strong>(?:<small.*?</small> )?(.*?)</strong>", page)


def test_a_draft_is_seen_by_nobody_until_it_is_published_and_no_more_once_withdrawn(
    admin, anyone, in_province
):
    article_id = write(admin, publish=False)
    assert "还没有发布政策资讯" in read(anyone, "/news")
    assert anyone.get(f"/shanxi/news/{article_id}").status_code == 404
    post_form(admin, f"{OFFICE}/publish?kind=news", page=f"{OFFICE}?kind=news", article=article_id)
    assert "关于报名的通知" in read(anyone, "/news")
    assert "请按时报名" in read(anyone, f"/news/{article_id}")
    post_form(admin, f"{OFFICE}/{article_id}/withdraw", page=f"{OFFICE}?kind=news")
    assert anyone.get(f"/shanxi/news/{article_id}").status_code == 404
    assert "还没有发布政策资讯" in read(anyone, "/news")
    post_form(admin, f"{OFFICE}/publish?kind=news", page=f"{OFFICE}?kind=news", article=article_id)
    assert "关于报名的通知" in read(anyone, "/news")
    with in_province("shanxi"):
        verbs = [
            journal_entry.verb
            for journal_entry in db.session.scalars(
                select(JournalEntry).where(JournalEntry.subject_id == article_id).order_by(JournalEntry.id)
            )
        ]
    assert verbs == ["written", "publish", "withdraw", "publish"]


def test_only_a_draft_can_be_deleted(admin):
    draft, published = write(admin, publish=False, title="草稿一"), write(admin)
    assert post_form(admin, f"{OFFICE}/{published}/delete", page=f"{OFFICE}?kind=news").status_code == 409
    assert post_form(admin, f"{OFFICE}/{draft}/delete", page=f"{OFFICE}?kind=news").status_code == 303
    assert admin.get(f"{OFFICE}/{draft}").status_code == 404


def test_more_rows_than_a_form_may_name_are_refused(admin):
    many = [str(uuid4()) for _ in range(5_001)]
    write(admin, publish=False)
    refused = post_form(admin, f"{OFFICE}/publish?kind=news", page=f"{OFFICE}?kind=news", article=many)
    assert refused.status_code == 422
    assert "一次最多选择5,000行" in refused.get_data(as_text=True)


def test_the_pinned_stand_before_the_newest_and_pages_follow(admin, anyone):
    write(admin, title="旧而置顶", pinned="y")
    for serial in range(21):
        write(admin, title=f"第{serial}篇")
    first, second = read(anyone, "/news"), read(anyone, "/news?page=2")
    assert titles(first)[:2] == ["旧而置顶", "第20篇"]
    assert len(titles(first)) == 20
    assert titles(second) == ["第1篇", "第0篇"]
    assert "上一页" in second
    assert "下一页" not in second
    for wrong in ("0", "-3", "x", "99999999999"):
        assert anyone.get(f"/shanxi/news?page={wrong}").status_code == 200


def test_words_are_found_in_title_and_body_and_mean_themselves(admin, anyone):
    write(admin, title="百分之100%的要求", body="ABC_def 甲")
    write(admin, title="另一篇", body="100分 乙")
    for words, expected_titles in (
        ("100%", ["百分之100%的要求"]),
        ("abc_", ["百分之100%的要求"]),
        ("100", ["另一篇", "百分之100%的要求"]),
        ("100 乙", ["另一篇"]),
        ("\\", []),
        ("%", ["百分之100%的要求"]),
        ("没有的词", []),
    ):
        page = anyone.get("/shanxi/news", query_string={"q": words}).get_data(as_text=True)
        assert titles(page) == expected_titles, words
        assert ("没有找到" in page) == (not expected_titles)


def test_what_was_searched_for_is_shown_as_text(admin, anyone):
    write(admin)
    assert "<script" not in anyone.get("/shanxi/faq?q=<script>alert(1)").get_data(as_text=True).replace(
        '<script type="module" src', ""
    )


def test_what_is_written_becomes_no_html_of_its_own(admin, anyone):
    body = (
        "<script>alert(1)</script>\n\n[点](javascript:alert(1)) ![图](https://x/y.png)\n\n- 一\n- "
        "二\n\n[好](https://dk.example/a)"
    )
    article_id = write(admin, body=body)
    page = anyone.get(f"/shanxi/news/{article_id}").get_data(as_text=True)
    prose = page.split('class="article-body">')[1].split("</article>")[0]
    assert "<script" not in prose
    assert "javascript:alert" not in re.sub(r">[^<]*<", "><", prose)
    assert "<img" not in prose
    assert "<li>一</li>" in prose.replace("\n", "")
    assert '<a href="https://dk.example/a" rel="noopener noreferrer">好</a>' in prose


def test_a_preview_keeps_nothing(admin, anyone):
    preview = post_form(admin, f"{OFFICE}/new?kind=news", title="预览的", body="**要紧**", preview="1")
    assert "<strong>要紧</strong>" in preview.get_data(as_text=True)
    assert "预览的" not in read(admin, "/office/articles?kind=news")


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("news", {"title": ""}, "请填写标题"),
        ("news", {"body": " "}, "请填写正文"),
        ("news", {"title": "长" * 101}, "请不要超过100字，现有101字"),
        ("news", {"body": "长" * 20_001}, "请不要超过20000字"),
        ("faq", {"category": ""}, "请选择分类"),
        ("faq", {"topic": "none-such"}, "请从列表中选择"),
    ],
)
def test_faults_stand_at_their_field_and_what_was_typed_stays(admin, kind, given, said):
    data = {"title": "标题甲", "body": "正文乙", "category": "filing", "topic": ""} | given
    answer = post_form(admin, f"{OFFICE}/new?kind={kind}", **data)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert said in page
    assert ("正文乙" in page) == (data["body"] == "正文乙")


def test_answers_stand_by_category_in_the_order_given(admin, anyone):
    first, second, third = (
        write(admin, "faq", title=name, category="exam") for name in ("问甲", "问乙", "问丙")
    )
    write(admin, "faq", title="问丁", category="account")
    order = lambda: re.findall(r"<summary>(.*?)</summary>", read(anyone, "/faq"))  # noqa: E731
    assert order() == ["问丁", "问甲", "问乙", "问丙"]
    post_form(admin, f"{OFFICE}/{third}/shift", page=f"{OFFICE}?kind=faq", way="up")
    post_form(admin, f"{OFFICE}/{first}/shift", page=f"{OFFICE}?kind=faq", way="down")
    post_form(admin, f"{OFFICE}/{second}/shift", page=f"{OFFICE}?kind=faq", way="down")
    assert order() == ["问丁", "问丙", "问甲", "问乙"]


def test_a_help_leads_to_the_provinces_answer_and_before_there_is_one_to_the_houses(admin, anyone):
    topic = "saved-not-submitted"
    assert HELP_BY_TOPIC[topic].question in read(anyone, f"/faq/about/{topic}")
    article_id = write(admin, "faq", title="本省的说法", category="filing", topic=topic)
    assert anyone.get(f"/shanxi/faq/about/{topic}").location.endswith(f"/faq/{article_id}")
    second_answer = post_form(
        admin, f"{OFFICE}/new?kind=faq", title="又一条", body="正文", category="filing", topic=topic
    )
    assert "已有另一条问答对应这处帮助" in second_answer.get_data(as_text=True)
    assert anyone.get("/shanxi/faq/about/none-such").status_code == 404


def test_the_houses_answers_are_taken_over_as_drafts_once(admin, anyone, in_province):
    post_form(admin, f"{OFFICE}/examples", page=f"{OFFICE}?kind=faq")
    post_form(admin, f"{OFFICE}/examples", page=f"{OFFICE}?kind=faq")
    with in_province("shanxi"):
        articles = db.session.scalars(select(Article)).all()
    assert sorted(article.topic for article in articles) == sorted(answer.topic for answer in ANSWERS)
    assert {article.state for article in articles} == {"draft"}
    assert "还没有发布问答" in read(anyone, "/faq")


def test_another_province_reads_nothing_of_it(admin, anyone):
    article_id = write(admin)
    assert "关于报名的通知" not in read(anyone, "/news", "henan")
    assert anyone.get(f"/henan/news/{article_id}").status_code == 404


@pytest.mark.parametrize("role", ["auditor", "question_editor", "institution_clerk"])
def test_nobody_but_the_administrator_writes(application, admin, in_province, role):
    article_id = write(admin)
    organisation = None if role in ("auditor", "question_editor") else "PDY1400000001"
    client = signed_in_client(application, in_province, "shanxi", role, organisation)
    assert client.get(OFFICE).status_code == (200 if role == "auditor" else 403)
    assert client.get(f"{OFFICE}/new").status_code == 403
    assert client.get(f"{OFFICE}/{article_id}").status_code == 403


def test_back_leads_to_where_one_came_from(application, admin, anyone, in_province):
    assert 'href="/shanxi/login"' in read(anyone, "/news")
    assert 'href="/shanxi/office"' in read(admin, "/news")
