"""The journal (审计日志): append-only entries of who did what to which row, and the state transitions that
write them."""
