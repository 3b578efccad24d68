"""Measuring the speed of training, of other libraries, and of the physics alone."""
