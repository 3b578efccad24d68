"""How fast training is, beside its peers and the physics alone."""
