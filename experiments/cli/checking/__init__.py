"""Commands that check something and give a verdict: an algorithm, a results folder."""
