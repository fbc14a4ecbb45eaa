"""What every room stands on: errors, seeds, plug-ins, ranges of numbers, texts and files."""
