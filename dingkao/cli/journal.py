"""`dingkao journal verify [SLUG]`."""

from datetime import datetime
from typing import Any

import click

from dingkao.cli.context import (
    application,
    print_result,
    province_by_slug,
    refusals_as_click_errors,
)
from dingkao.clock import to_beijing
from dingkao.database.base import db
from dingkao.journal import verification
from dingkao.journal.findings import (
    FINDING_LABELS,
    Finding,
    VerificationReport,
)
from dingkao.operators import act_log
from dingkao.people.journal_verification import last_verified_batch
from dingkao.people.provinces import province_states
from dingkao.tenants.context import in_tenant
from dingkao.tenants.registry import Province, by_code


@click.group("journal")
def command() -> None:
    """审计日志."""


@command.command(
    "verify",
    help="核验省份 SLUG 的审计日志，不写明省份时核验全部已开通的省份和平台运营人员的操作记录；"
    "有异常时逐条列出，退出状态为 1。",
)
@click.argument("slug", required=False)
@click.option("--json", "as_json", is_flag=True, help="以JSON输出")
def verify(slug: str | None, as_json: bool) -> None:
    """Verify the journal of one province, or of all opened ones and the operators' acts; exits with 1 on
    findings."""
    if slug is not None:
        slug = province_by_slug(slug).slug
    result: dict[str, Any] = {"sound": True, "provinces": []}
    lines: list[str] = []
    with application(), refusals_as_click_errors():
        for province in _opened_provinces(slug):
            report = _verify_province(province)
            result["provinces"].append({"slug": province.slug} | report.as_dict())
            result["sound"] &= report.is_clean
            lines += _format_report(province.name, report)
        if slug is None:
            platform_report = act_log.verify_acts()
            result["platform"] = platform_report.as_dict()
            result["sound"] &= platform_report.is_clean
            lines += _format_report("平台运营操作记录", platform_report)
    print_result(result, as_json, "\n".join(lines))
    if not result["sound"]:
        raise SystemExit(1)


def _verify_province(province: Province) -> VerificationReport:
    """Returns the report of a complete verification of a province's journal; what the session holds is
    dropped. Raises what `verification.verify_all` raises."""
    with in_tenant(province.code):
        report = verification.verify_all(last_verified_batch())
    db.session.remove()
    return report


def _opened_provinces(slug: str | None) -> list[Province]:
    """Returns the provinces that were ever opened, or only the one with exactly that slug. Raises
    click.ClickException if it was never opened."""
    provinces = filter(None, map(by_code, sorted(province_states())))
    if slug is None:
        return list(provinces)
    named = [province for province in provinces if province.slug == slug]
    if not named:
        raise click.ClickException(f"{province_by_slug(slug).name}尚未开通。")
    return named


def _format_report(name: str, report: VerificationReport) -> list[str]:
    """Returns a report for people: a line with the numbers, then a line for each finding."""
    uncovered = f"，尚未封存 {report.uncovered:,} 条{_format_since(report.since)}"
    faults = [f"  {sentence}" for sentence in report.files]
    faults += map(_format_finding, report.entries)
    verdict = "全部一致" if report.is_clean else f"发现异常 {len(faults):,} 处"
    return [
        f"{name}：核对 {report.checked:,} 条，已封存 {report.listed:,} 条{uncovered}。{verdict}。",
        *faults,
    ]


def _format_since(since: datetime | None) -> str:
    """Returns the text since when entries are not covered by a checkpoint; "" if all are."""
    return f"（自 {to_beijing(since):%Y-%m-%d %H:%M:%S}）" if since else ""


def _format_finding(finding: Finding) -> str:
    """Returns a finding as one line."""
    moment = finding.made_at()
    when = f"{to_beijing(moment):%Y-%m-%d %H:%M:%S}" if moment else "时间不明"
    return f"  {when}  记录 {finding.entry}  对象 {finding.subject or '不明'}  {FINDING_LABELS[finding.kind]}"
