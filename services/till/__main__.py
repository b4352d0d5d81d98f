from __future__ import annotations

from till.app import main

main()
