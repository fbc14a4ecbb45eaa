"""Deep Feedback Control: a controller nudges the network to its target, the nudge drives learning."""
