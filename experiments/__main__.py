"""``python -m experiments`` is the command ``ppo``."""

import sys

from experiments.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
