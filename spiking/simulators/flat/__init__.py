"""What machines with a kernel share: where numbers lie in flat arrays, what they are, and the way back."""
