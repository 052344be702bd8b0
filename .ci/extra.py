"""Install what an optional extra of pyproject.toml pins: ``extra.py clip``."""
from __future__ import annotations

import sys
import tomllib

from environment import ROOT, pip

extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
pip(f'the extra {sys.argv[1]}', 'install', '--no-compile', *extras[sys.argv[1]])
