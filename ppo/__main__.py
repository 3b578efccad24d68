"""``python -m ppo`` is the command ``ppo``."""

import sys


def main() -> int:
    """Run the command."""
    from experiments.cli.commands import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
