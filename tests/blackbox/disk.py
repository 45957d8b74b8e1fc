# SPDX-License-Identifier: BSD-3-Clause
"""What tests of vhu-blk as a disk share: a file, a daemon that serves it, its counters."""

import json
import os

import frontend as fe
from frontend import Frontend
from harness import Daemon, true, until

DISK = 4 << 20


def disk_of(folder):
  """A file on whatever the folder is on."""
  path = os.path.join(folder, 'disk')
  with open(path, 'wb') as file:
    file.truncate(DISK)
  return path


def start(daemon, folder, *arguments, by=(), **more):
  """A daemon on a socket in the folder, with statistics; by: the command that starts it."""
  return Daemon(*by, daemon, f'--socket-path={folder}/s', f'--stats-json={folder}/stats',
                *arguments, **more)


def connect(folder, features=fe.F_FLUSH):
  front_end = Frontend.connect(f'{folder}/s')
  front_end.negotiate(features)
  return front_end


def figures(folder):
  true(until(lambda: os.path.exists(f'{folder}/stats')), 'statistics come')
  with open(f'{folder}/stats', encoding='utf-8') as file:
    return json.load(file)
