"""A tiny `python -m schemas` for the yard's own tests: migrates nothing, insists on what it is told."""

import os
import sys

for name in sys.argv[1:]:
    assert f"//{name}:" in os.environ[f"{name.upper()}_DATABASE_URL"]
    assert os.environ[f"{name.upper()}_ADMIN_DATABASE_URL"].startswith("postgresql://postgres:")
    print(f"{name} is at revision 0")
