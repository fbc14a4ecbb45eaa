"""Learning rules: they know observations and their own model, never a chip."""
