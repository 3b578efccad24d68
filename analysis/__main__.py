"""`python -m analysis --results results --out results`"""

import sys

from analysis.report import main

sys.exit(main())
