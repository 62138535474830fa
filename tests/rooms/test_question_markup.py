"""What questions are written in: marks are shown, everything else is text, and nobody's HTML gets into a
page."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dingkao.question_banks import markup
from dingkao.question_banks.exchange_html import to_exchange_html
from dingkao.question_banks.markup import for_script, has_markup, picture_names, to_html, to_plain_text
from dingkao.question_banks.markup_html import html_to_markup

NAME = "0123456789abcdef" * 2


def address(name):
    return f"/shanxi/pictures/{name}"


MARKED = {
    "H<sub>2</sub>O": "H<sub>2</sub>O", "10<SUP>9</SUP>/L": "10<sup>9</sup>/L", f"见![胸片](图:{NAME})": f'见<img src="/shanxi/pictures/{NAME}" alt="胸片">',
    "|项|值|\n|-|-|\n|甲|1<sub>a</sub>|": '<table><thead><tr><th scope="col">项</th><th scope="col">值</th></tr></thead><tbody><tr><td>甲</td><td>1<sub>a</sub></td></tr></tbody></table>',
    "前\n|甲|乙|\n后": "前<table><tbody><tr><td>甲</td><td>乙</td></tr></tbody></table>后", "$\\badcmd{$": "<code>\\badcmd{</code>",
}  # fmt: skip
RULES_ONLY = {
    "|---|": "|---|",
    "|---|\n|---|": "|---|<br>|---|",
    "前\n|-|:-:|\n| |\n后": "前<br>|-|:-:|<br>| |<br>后",
    "|甲|\n前\n|-|\n后": "<table><tbody><tr><td>甲</td></tr></tbody></table>前<br>|-|<br>后",
}
TEXT = (
    "血压<90",
    "a & b",
    "价格$5和$6",
    "<b>粗</b>",
    "a|b",
    "<sub>没有结束",
    "<script>alert(1)</script>",
    f"![x](图:{NAME[:-1]})",
    "[字](http://x)",
    "一\n二",
)


@pytest.mark.parametrize("text", MARKED)
def test_marks_are_shown(text):
    assert has_markup(text)
    assert to_html(text, address) == MARKED[text]
    assert for_script(text, address) == {"html": MARKED[text]}


@pytest.mark.parametrize("text", TEXT)
def test_what_is_no_mark_is_text(text):
    markup_read = html_to_markup(str(to_html(text, address)).replace("&#x27;", "'").replace("&quot;", '"'))
    assert markup_read == (text, [])


@pytest.mark.parametrize("text", RULES_ONLY)
def test_rules_without_a_row_are_text(text):
    assert to_html(text, address) == RULES_ONLY[text]


@pytest.mark.parametrize("first", ["|-|-|", "| | |"])
def test_a_rule_that_no_row_stands_above_makes_no_heading(first):
    page = "<table><tbody><tr><td>甲</td><td>乙</td></tr></tbody></table>"
    assert to_html(f"{first}\n|-|-|\n|甲|乙|", address) == page


@pytest.mark.parametrize(
    ("row", "cells"), [("|-|-|", ("-", "-")), ("| | |", ("", "")), ("|--|:|", ("--", ":"))]
)
def test_a_row_of_dashes_or_blanks_below_the_rule_stays(row, cells):
    shown = "".join(f"<td>{cell}</td>" for cell in cells)
    html = to_html(f"|钠|钾|\n|-|-|\n{row}\n|甲|乙|", address)
    assert html.endswith(f"<tbody><tr>{shown}</tr><tr><td>甲</td><td>乙</td></tr></tbody></table>")


def test_a_formula_is_mathml():
    html = str(to_html("$\\frac{a}{b}$ 与 $x^2$", address))
    assert html.count("<math ") == 2
    assert re.search(r"<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>", html)


def test_the_formulas_of_a_text_are_those_that_are_drawn():
    inside, outside = f"a![图](图:{NAME})b", f"![价$1$](图:{NAME})"
    assert markup.formulas_in(f"${inside}$与$x$，{outside}") == [inside, "x"]
    assert len(re.findall("<math ", str(to_html(f"${inside}$与$x$，{outside}", address)))) == 2


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


NASTY = st.lists(
    st.sampled_from(
        [
            "<sub>",
            "</sub>",
            "<script>",
            "<img src=x onerror=alert(1)>",
            "$",
            "\\text{",
            "}",
            "\\href{javascript:alert(1)}{x}",
            "|",
            "\n",
            '"',
            "'",
            f'!["onerror=alert(1) x="](图:{NAME})',
            "<math><mtext>",
            "<style>",
            "</table>",
            "a",
            "&lt;",
            "<svg/onload=1>",
            "^{",
            "_",
        ]
    ),
    max_size=14,
).map("".join)


@given(NASTY)
def test_nothing_but_our_tags_gets_into_a_page(text):
    for tag, attributes in Tags(str(to_html(text, address))).found:
        assert tag not in ("script", "style", "svg", "a", "iframe", "object")
        assert not [
            name
            for name in attributes
            if name.startswith("on") or name in ("style", "href", "xlink:href", "srcdoc")
        ]
        assert tag != "img" or attributes["src"] == address(NAME)


@given(st.text("|-: \na\\$[]()!*", max_size=24))
def test_small_signs_in_whatever_order_are_sieved_and_lose_no_word(text):
    page = str(to_html(text, address))
    assert {tag for tag, _ in Tags(page).found} <= markup._TAGS
    assert "$" in text or re.sub("<[^>]*>", "", page).count("a") == text.count("a")


@given(
    st.lists(
        st.sampled_from(
            [
                "<sub>2</sub>",
                "$x_1$",
                "<",
                ">",
                "&lt;",
                "\n",
                "  ",
                "\t",
                "\\(",
                "\\)",
                "甲",
                "a",
                "|b|",
                "$",
                " ",
            ]
        )
        | st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=3),
        max_size=8,
    ).map("".join)
)
def test_text_goes_to_html_and_back(text):
    """A formula of nothing but blanks is none, and says nothing."""
    assume(not re.search(r"\$\s+\$", text))
    text = text.strip()
    assert html_to_markup(to_exchange_html(text)) == (text, [])


def test_foreign_html_becomes_ours():
    markup_read, lost = html_to_markup(
        "<p>甲<b>乙</b></p><p>10<sup>9</sup></p><table><tr><td>1</td><td>2</td></tr></table><img "
        "src='http://x/y.png'><script>x</script>"
    )
    assert markup_read == "甲乙\n10<sup>9</sup>\n|1|2|"
    assert lost == ["图片"]


def test_an_unknown_section_of_html_is_a_comment():
    assert html_to_markup("甲<![乙]丙>丁<![if x]>戊 <![") == ("甲丁戊 <![", [])


def test_plain_words_and_pictures_of_a_text():
    text = f"CO<sub>2</sub> $x^2$ ![胸片](图:{NAME})"
    assert to_plain_text(text) == "CO2 x^2 [图:胸片]"
    assert picture_names(text, None, "无") == [NAME]
