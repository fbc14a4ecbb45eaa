"""What machines run, and what they leave: phases side by side, bound to the chips, and recordings of them."""
