"""``python -m experiments`` is the command ``ppo``."""

import sys

from experiments.cli.commands import main

sys.exit(main())
