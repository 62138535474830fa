"""What questions are written in: marks are shown, everything else is text, and nobody's HTML gets into a page."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dingkao.exams.content import from_html, is_marked, pictures_of, plain, rendered, shown, to_html

NAME = "0123456789abcdef" * 2


def address(name):
    return f"/shanxi/pictures/{name}"


MARKED = {
    "H<sub>2</sub>O": "H<sub>2</sub>O", "10<SUP>9</SUP>/L": "10<sup>9</sup>/L", f"见![胸片](图:{NAME})": f'见<img src="/shanxi/pictures/{NAME}" alt="胸片">',
    "|项|值|\n|-|-|\n|甲|1<sub>a</sub>|": '<table><thead><tr><th scope="col">项</th><th scope="col">值</th></tr></thead><tbody><tr><td>甲</td><td>1<sub>a</sub></td></tr></tbody></table>',
    "前\n|甲|乙|\n后": "前<table><tbody><tr><td>甲</td><td>乙</td></tr></tbody></table>后", "$\\badcmd{$": "<code>\\badcmd{</code>",
}  # fmt: skip
TEXT = ("血压<90", "a & b", "价格$5和$6", "<b>粗</b>", "a|b", "<sub>没有结束", "<script>alert(1)</script>", f"![x](图:{NAME[:-1]})", "[字](http://x)", "一\n二")


@pytest.mark.parametrize("text", MARKED)
def test_marks_are_shown(text):
    assert is_marked(text)
    assert rendered(text, address) == MARKED[text]
    assert shown(text, address) == {"html": MARKED[text]}


@pytest.mark.parametrize("text", TEXT)
def test_what_is_no_mark_is_text(text):
    told = from_html(str(rendered(text, address)).replace("&#x27;", "'").replace("&quot;", '"'))
    assert told == (text, [])


def test_a_formula_is_mathml():
    made = str(rendered("$\\frac{a}{b}$ 与 $x^2$", address))
    assert made.count("<math ") == 2
    assert re.search(r"<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>", made)


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


NASTY = st.lists(st.sampled_from(["<sub>", "</sub>", "<script>", "<img src=x onerror=alert(1)>", "$", "\\text{", "}", "\\href{javascript:alert(1)}{x}", "|", "\n", "\"", "'", f"![\"onerror=alert(1) x=\"](图:{NAME})", "<math><mtext>", "<style>", "</table>", "a", "&lt;", "<svg/onload=1>", "^{", "_"]), max_size=14).map("".join)  # fmt: skip


@given(NASTY)
def test_nothing_but_our_tags_gets_into_a_page(text):
    for tag, given_ in Tags(str(rendered(text, address))).found:
        assert tag not in ("script", "style", "svg", "a", "iframe", "object")
        assert not [name for name in given_ if name.startswith("on") or name in ("style", "href", "xlink:href", "srcdoc")]
        assert tag != "img" or given_["src"] == address(NAME)


@given(st.lists(st.sampled_from(["<sub>2</sub>", "$x_1$", "<", ">", "&lt;", "\n", "  ", "\t", "\\(", "\\)", "甲", "a", "|b|", "$", " "]) | st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=3), max_size=8).map("".join))
def test_text_goes_to_html_and_back(text):
    text = text.strip()
    assert from_html(to_html(text)) == (text, [])


def test_foreign_html_becomes_ours():
    told, lost = from_html("<p>甲<b>乙</b></p><p>10<sup>9</sup></p><table><tr><td>1</td><td>2</td></tr></table><img src='http://x/y.png'><script>x</script>")
    assert told == "甲乙\n10<sup>9</sup>\n|1|2|"
    assert lost == ["图片"]


def test_plain_words_and_pictures_of_a_text():
    text = f"CO<sub>2</sub> $x^2$ ![胸片](图:{NAME})"
    assert plain(text) == "CO2 x^2 [图:胸片]"
    assert pictures_of(text, None, "无") == [NAME]
