"""The record of one doctor in one cycle and round: its state, and the moves that change it."""
