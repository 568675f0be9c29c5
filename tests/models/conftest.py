"""What the tests of models share: they run in the models' environment, with folders beside them importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
