"""Moving a trained run onto Lava or Loihi 2: quantise, fine-tune, test, check and account for the cost."""
