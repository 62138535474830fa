"""The blueprint of halls, slots and extra time, and what its views have in common."""

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import require_current_cycle
from dingkao.cycles.models import Cycle

halls = console_blueprint("halls")


def require_cycle() -> Cycle:
    """The current cycle. Raises NotFound if there is none."""
    return require_current_cycle("本省还没有开始考核周期，请先开始周期再安排考场。")
