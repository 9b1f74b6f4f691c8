"""`python -m spanledger` is the command `spanledger`."""

from __future__ import annotations

import sys

from spanledger.cli import main

sys.exit(main())
