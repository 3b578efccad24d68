"""``python -m experiments`` is the command ``ppo``."""

import sys

from experiments.cli import main

sys.exit(main())
