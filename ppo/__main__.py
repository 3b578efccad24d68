"""The command ``ppo``, also as ``python -m ppo``."""

import sys


def main() -> int:
    """Run the command; return its exit code, 130 where it is stopped while it is still loading."""
    try:
        from experiments.cli.commands import main as command
    except KeyboardInterrupt:
        print("ppo: stopped before it began", file=sys.stderr)
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
