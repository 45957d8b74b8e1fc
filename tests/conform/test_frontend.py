#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu conform frontend, against front-ends whose verdicts are known.

    tests/conform/test_frontend.py --daemon build/daemons/vhu-blk

Ours pass everything. What a virtual machine does is recorded in expected/NAME.txt, with the
version it was recorded of: a change is a failure if the version is the same."""

import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
from frontends import OURS, PEERS, judge, tool
from subjects import lasting_changes, read_expected
from harness import Skip, equal, main, true

FINE, USAGE, NO_PEER = 0, 2, 3


def run(daemon, *arguments):
  return subprocess.run([tool(daemon), 'conform', 'frontend', *arguments], capture_output=True,
                        text=True, timeout=60, stdin=subprocess.DEVNULL)


def passes_everything(subject):
  def test(daemon, folder):
    code, report = judge(subject, daemon, folder, '--strict')
    wrong = [f"{case['id']}: {case['verdict']}: {case['reason']}" for case in report['cases']
             if case['verdict'] in ('fail', 'error')]
    equal(wrong, [])
    equal(code, FINE)
    passed = [case for case in report['cases'] if case['verdict'] == 'pass']
    true(len(passed) >= subject.least, f'{len(passed)} of the cases were tried')
  test.__name__ = f'{subject.name}_passes_everything'.replace('-', '_')
  return test


def does_what_is_known(subject):
  def test(daemon, folder):
    if subject.lacking():
      raise Skip(subject.lacking())
    version, expected = read_expected(subject.name)

    def judge_it(*more):
      with tempfile.TemporaryDirectory(dir=folder) as own:
        return judge(subject, daemon, own, *more)[1]

    found = lasting_changes(judge_it, expected)
    for line in found:
      print(f'# {line}')
    if version != subject.version and found:
      raise Skip(f'version {subject.version} differs from {version}, of which verdicts are known')
    true(not found, f'{len(found)} verdicts are as they were recorded')
  test.__name__ = f'{subject.name}_does_what_is_known'.replace('-', '_')
  return test


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
    *[does_what_is_known(subject) for subject in PEERS],
    exit_codes_tell_what_happened,
    cases_are_listed_and_explained,
    *[passes_everything(subject) for subject in OURS],
]


if __name__ == '__main__':
  main(TESTS, at_once=2)
