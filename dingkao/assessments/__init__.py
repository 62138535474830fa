"""The record of one doctor in one cycle and round: its state, and the transitions that change it."""
