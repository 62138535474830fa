"""What is held against a page as it stands in the browser: by axe-core, and by the few rules of ours that
axe-core doesn't know."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SMALLEST = {"doctor": 16, "senior": 20, "staff": 12}
LOWEST = {"doctor": 44, "senior": 48, "staff": 20}

STYLED = (
    "color-contrast",
    "target-size",
    "scrollable-region-focusable",
    "link-in-text-block",
    "aria-hidden-focus",
)
"""The rules whose answer a size or a mode can change: the rest ask for what the document says, which stays
the same."""

RUN = """async ([type, values, enhanced]) => {
  const rules = {"target-size": {enabled: true}, ...(enhanced && {"color-contrast-enhanced": {enabled: true}})};
  const found = await axe.run(document, {runOnly: {type, values}, rules, resultTypes: ["violations"]});
  return found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.target.join(" ")} ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? rule.help}`));
}"""

OWN_RULES_SCRIPT = """([smallest, lowest]) => {
  const said = [];
  const name = (one) => `${one.tagName.toLowerCase()}${one.id ? "#" + one.id : ""}${[...one.classList].map((each) => "." + each).join("")}`;
  const hidden = (one) => !one.checkVisibility() || one.closest(".skip-link, .visually-hidden, noscript, svg") || one.getBoundingClientRect().right < 0;
  const slides = (one) => one.closest(".table-responsive, .slides");
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) {
    const over = [...document.body.querySelectorAll("*")].filter((one) => !hidden(one) && !slides(one) && one.getBoundingClientRect().right > wide + 1);
    said.push(`scrolls sideways: ${over.slice(0, 3).map(name).join(", ")}`);
  }
  for (const one of document.body.querySelectorAll("*")) {
    if (hidden(one)) continue;
    const style = getComputedStyle(one);
    const texts = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const typed = one.matches("input:not([type=checkbox], [type=radio], [type=hidden], [type=file]), textarea, select");
    const size = parseFloat(style.fontSize);
    const script = one.closest("sub, sup, math");  // smaller than the line it stands in, whose own size is judged
    if ((texts || typed) && !script && size > 0 && size < smallest) said.push(`type of ${size} px: ${name(one)}`);
    if (texts && ["hidden", "clip"].includes(style.overflowX) && one.scrollWidth > one.clientWidth + 1) said.push(`cut off: ${name(one)}`);
    const pressed = one.matches("button, summary, select, textarea, a[href], input:not([type=hidden])");
    if (pressed && style.display !== "inline") {
      const box = (one.matches("[type=checkbox], [type=radio]") ? one.closest("label") ?? one : one.matches(".text-input") ? one.closest(".form-field") ?? one : one).getBoundingClientRect();
      if (box.height < lowest - 0.5) said.push(`target ${Math.round(box.height)} px high: ${name(one)}`);
    }
  }
  return [...new Set(said)];
}"""


def axe_findings(page: Page, *, whole: bool = True, enhanced: bool = False) -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA and its best practices, or where not `whole` against
    STYLED alone; `enhanced`: contrast of 7:1 too. It is evaluated beside the page's own scripts, so the
    content policy stays in force."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    rules = (*STYLED, *(["color-contrast-enhanced"] if enhanced else []))
    findings: list[str] = page.evaluate(
        RUN, ["tag", list(TAGS), enhanced] if whole else ["rule", list(rules), False]
    )
    return findings


def own_findings(page: Page, kind: str) -> list[str]:
    """What scrolls sideways, is cut off, is written too small or too low to be hit. `kind`: doctor, senior or
    staff."""
    findings: list[str] = page.evaluate(OWN_RULES_SCRIPT, [SMALLEST[kind], LOWEST[kind]])
    return findings


def collect_errors(page: Page, found: Any) -> None:
    """Tell `found` of script errors, breaches of the content policy and faults of the server, as they
    happen."""
    page.on("pageerror", lambda fault: found(f"script: {fault}"))
    page.on(
        "console",
        lambda said: (
            found(f"console: {said.text}")
            if "Content Security" in said.text or "Refused" in said.text
            else None
        ),
    )
    page.on(
        "response", lambda answer: found(f"{answer.status} {answer.url}") if answer.status >= 500 else None
    )
