"""The requests of doctors (申请): 免考, 延考, change, correction, 复核; who decides on them, and their
effects."""
