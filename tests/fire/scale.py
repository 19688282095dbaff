"""How much fire: 1 in every test run, more in `nox -s fire`; bounded, so that it ends by itself."""

import os

SCALE = max(1, min(20, int(os.environ.get("FIRE_SCALE", "1"))))
