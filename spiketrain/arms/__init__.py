"""The arms of a comparison: which chips a rule is trained on and what it is told; one class per arm."""
