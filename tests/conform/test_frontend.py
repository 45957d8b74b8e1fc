#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu conform frontend, against front-ends whose verdicts are known.

    tests/conform/test_frontend.py --daemon build/daemons/vhu-blk

Ours pass everything. What a virtual machine does is recorded in expected/NAME.txt, with the
version it was recorded of: a change is a failure if the version is the same."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
from frontends import OURS, PEERS, judge, tool
from known import does_what_is_known, passes_everything
from harness import equal, main, true

FINE, USAGE, NO_PEER = 0, 2, 3


def run(daemon, *arguments):
  return subprocess.run([tool(daemon), 'conform', 'frontend', *arguments], capture_output=True,
                        text=True, timeout=60, stdin=subprocess.DEVNULL)


def exit_codes_tell_what_happened(daemon, folder):
  path = os.path.join(folder, 's')
  equal(run(daemon).returncode, USAGE)
  equal(run(daemon, f'--socket-path={path}', '--only=nothing').returncode, USAGE)
  equal(run(daemon, '--explain=nothing').returncode, USAGE)
  equal(run(daemon, f'--socket-path={folder}/none/s').returncode, NO_PEER)
  done = run(daemon, f'--socket-path={path}', '--restart-cmd=true')
  equal(done.returncode, NO_PEER)
  true(path in done.stderr, done.stderr)
  true(not os.path.exists(path), 'nothing is left behind')


def cases_are_listed_and_explained(daemon, folder):
  done = run(daemon, '--list')
  equal(done.returncode, FINE)
  ids = [line.split()[0] for line in done.stdout.splitlines()]
  true(len(ids) >= 80, f'{len(ids)} cases')
  equal(len(set(ids)), len(ids))
  for name in ids:
    done = run(daemon, f'--explain={name}')
    true(done.returncode == FINE and name in done.stdout and 'rule' in done.stdout, done.stdout)


# Those that take long come first.
TESTS = [
    *[does_what_is_known(subject, judge) for subject in PEERS],
    exit_codes_tell_what_happened,
    cases_are_listed_and_explained,
    *[passes_everything(subject, judge, subject.least) for subject in OURS],
]


if __name__ == '__main__':
  main(TESTS, at_once=2)
