"""Slow work: a row that says what, written with the change that wants it; rq runs it after the commit."""
