# SPDX-License-Identifier: BSD-3-Clause
"""The project's own files, for the scripts that check them; needs no git."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def is_made(name):
  return name in ('.git', 'build', '__pycache__', 'corpus') or name.startswith('build-')


def project_files(*folders):
  """Paths relative to the root, in order; all of the project without @folders."""
  for folder in folders or ('',):
    for path, inner, names in os.walk(os.path.join(ROOT, folder)):
      inner[:] = sorted(name for name in inner if not is_made(name))
      for name in sorted(names):
        if not name.endswith('.swp'):
          yield os.path.relpath(os.path.join(path, name), ROOT)


def read_text(name):
  """None for what is no text."""
  with open(os.path.join(ROOT, name), 'rb') as file:
    data = file.read()
  return None if b'\0' in data else data.decode('utf-8', errors='replace')
