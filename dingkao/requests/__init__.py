"""What a doctor asks for beside the main line (申请): 免考, 延考, changes, corrections, 复核; who decides, and what then happens."""
