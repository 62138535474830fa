"""The journal (审计日志): append-only, who did what to which row; and the moves, which can't happen without it."""
