"""Provinces to look at and learn in: made-up institutions, doctors and staff, a cycle under way, a bank of our own making. 样张."""
