"""Many experiments and what they add up to: sweep, tune, compare, identify."""
