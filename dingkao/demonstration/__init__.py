"""Demonstration provinces, for looking around and learning: invented institutions, doctors and staff, a
running cycle, our own question bank. 样张."""
