"""Which procedures include a test (domain.md §1.4)."""

from dingkao.tenants import settings
from dingkao.tenants.settings import Setting

settings.register(
    "simple_sits_common_paper",
    Setting(
        "简易程序参加公共知识测评",
        True,
        kind="yes_no",
        group="程序",
        order=80,
    ),
)


def skips_test(procedure: str | None) -> bool:
    """Returns whether a record with this procedure has no test: 简易程序, in a province where 简易程序 has
    none (§1.4)."""
    return procedure == "simple" and not settings.value("simple_sits_common_paper")
