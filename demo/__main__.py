"""`python -m demo`: the guided tour."""

from __future__ import annotations

import sys

from demo.tour import main

if __name__ == "__main__":
    sys.exit(main())
