"""Environments: rows of one task stepped together (base.py), on MuJoCo's own batching (mujoco.py) or on Gymnasium (gymnasium.py)."""
