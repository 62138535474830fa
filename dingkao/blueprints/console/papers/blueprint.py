"""The Flask blueprint of papers, what its views have in common, and what the form of a new paper proposes."""

from dingkao.blueprints.console.navigation import console_blueprint
from dingkao.cycles.cycles import require_current_cycle
from dingkao.cycles.models import Cycle

papers = console_blueprint("papers")
DEFAULT_QUESTION_COUNT = 50
DEFAULT_MINUTES = 60
DEFAULT_COMMON_PERCENT = 20
PAPER_FORM_LABELS = {
    "drawn": "每位医师随机抽题",
    "fixed": "所有医师题目相同，选项顺序随机",
}


def require_cycle() -> Cycle:
    """The current cycle. Raises NotFound if there is none."""
    return require_current_cycle("本省还没有开始考核周期，请先开始周期再安排试卷。")
