"""``python -m experiments.throughput``."""

import sys

from experiments.throughput.command import main

sys.exit(main())
