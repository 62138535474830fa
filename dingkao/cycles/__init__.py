"""When the assessment takes place, and by which rules: cycles (考核周期) and their phases."""
