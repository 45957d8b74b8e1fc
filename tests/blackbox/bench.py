# SPDX-License-Identifier: BSD-3-Clause
"""What tests of vhu bench share: running it against a vhu-blk, and judging what it says."""

import json
import os
import re
import subprocess
import time

from harness import Daemon, equal, true, until

FINE, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130
LIMIT = 60
MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/man/vhu.1')


def vhu_of(daemon):
  return os.path.join(os.path.dirname(os.path.dirname(daemon)), 'tools', 'vhu')


def command(daemon, path, *arguments, kind='blk'):
  where = [f'--socket-path={path}'] if path else []
  return [vhu_of(daemon), 'bench', kind, *where, *arguments]


def run(daemon, path, *arguments, kind='blk', **more):
  return subprocess.run(command(daemon, path, *arguments, kind=kind), text=True, timeout=LIMIT,
                        **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
                           'stdin': subprocess.DEVNULL, **more})


def measure(daemon, path, *arguments):
  done = run(daemon, path, '--json', *arguments)
  equal((done.returncode, done.stderr), (FINE, ''))
  figures = json.loads(done.stdout)
  equal((figures['failed'], figures['differing_bytes'], figures['refused']), (0, 0, 0))
  true(figures['ok'], figures)
  return figures


def complains(done, code, *words):
  equal((done.returncode, done.stdout), (code, ''))
  for word in words:
    true(word in done.stderr, f'"{word}" in {done.stderr}')


def documented(figures):
  """Each name of the JSON is in the manual, as a term and not just somewhere in the text."""
  with open(MANUAL, encoding='utf-8') as file:
    terms = ' '.join(re.findall(r'^\.BR? (.*)', file.read(), re.MULTILINE))
  for name, value in figures.items():
    true(re.search(rf'(?<![\w.]){re.escape(name)}(?![\w.])', terms), f'{name} in the manual')
    if isinstance(value, dict):
      documented(value)


def serve(daemon, folder, *arguments):
  path = os.path.join(folder, 's')
  return path, Daemon(daemon, f'--socket-path={path}', *(arguments or ['--memory=64M']))


def start(daemon, path, process, *arguments, **more):
  """A bench that is at work, for long."""
  before = process.log().count('started at index')
  child = subprocess.Popen(command(daemon, path, '--time=50', *arguments), text=True,
                           **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **more})
  true(until(lambda: process.log().count('started at index') > before), 'a queue has started')
  time.sleep(0.2)
  return child
