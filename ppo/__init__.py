"""PPO and the machinery that every baseline uses too: many runs trained in lockstep as one stack of tensors."""
