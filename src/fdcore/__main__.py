"""``python -m fdcore``: the same as the command ``fdcore``."""

import sys

from fdcore.cli import main

sys.exit(main())
