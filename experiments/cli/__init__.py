"""The ``ppo`` command."""
