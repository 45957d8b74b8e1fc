#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu conform frontend, against front-ends whose verdicts are known.

    tests/conform/test_frontend.py --daemon build/daemons/vhu-blk

Ours pass everything. What a virtual machine does is recorded in expected/NAME.txt, with the
version it was recorded of: a change is a failure if the version is the same."""

import concurrent.futures
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
from frontends import OURS, PEERS, Python, judge, tool
from known import does_what_is_known, passes_everything
from harness import equal, main, true

FINE, FAULT, USAGE, NO_PEER = 0, 1, 2, 3
RIGHT = Python()


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


def a_type_that_is_wrong_is_no_lie(daemon, folder):
  """Of a device that does nothing only messages are judged; of one of another kind it is said
  what is missing."""
  path = os.path.join(folder, 's')
  bench = (f'timeout 20 {tool(daemon)} bench blk --socket-path={path} --timeout=1 --time=10 '
           '--iommu=static')
  for kind, code in (('any', FINE), ('net', FAULT)):
    done = run(daemon, f'--socket-path={path}', f'--type={kind}', '--observe=0.2', '--verbose',
               '--only=fe-ring,fe-iotlb,fe-miss.known',
               f'--restart-cmd={bench} >/dev/null 2>&1 &')
    equal((kind, done.returncode), (kind, code))
    # It has, though it does not stay long enough for more.
    true('negotiated an IOMMU' not in done.stdout, done.stdout)
    for name in ('fe-ring.used', 'fe-ring.stopped', 'fe-miss.known'):
      is_skipped = f'not applicable  {name}: needs --type=blk or net\n' in done.stdout
      equal((kind, name, is_skipped), (kind, name, kind == 'any'))
  true('(is --type right?)' in done.stdout, done.stdout)
  true('fe-miss.known: the front-end does not use its device' in done.stdout, done.stdout)


def who_says_nothing_has_passed_nothing(daemon, folder):
  path = os.path.join(folder, 's')
  says = (f'{sys.executable} -c "import socket; s = socket.socket(socket.AF_UNIX); '
          f's.connect(\'{path}\'); s.send(bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))"')
  done = run(daemon, f'--socket-path={path}', '--type=any', '--observe=0.1', '--tap',
             '--only=fe-negotiation,fe-memory,fe-ring,fe-iotlb', f'--restart-cmd={says}')
  equal(done.returncode, FINE)
  lines = [line for line in done.stdout.splitlines() if line.startswith('ok')]
  equal([line for line in lines if 'SKIP' not in line and 'asks-before-it-sets' not in line], [])
  true(len(lines) > 30, done.stdout)


def a_front_end_that_does_not_come_back_is_told_so(daemon, folder):
  path = os.path.join(folder, 's')
  once = (f'test -e {path}.once || {{ touch {path}.once; timeout 20 {tool(daemon)} bench blk '
          f'--socket-path={path} --timeout=1 --time=0.3 >/dev/null 2>&1 & }}')
  done = run(daemon, f'--socket-path={path}', '--type=blk', '--observe=0.2', '--verbose',
             '--only=fe-mishap.gone,fe-mishap.comes-back', f'--restart-cmd={once}')
  equal(done.returncode, FINE)
  true('fe-mishap.comes-back: the front-end does not come back, not by --restart-cmd either' in
       done.stdout, done.stdout)


# Fault -> a case that fails of it, which decides on the exit status by its level.
FAULTS = {
    'waits-for-ever': 'fe-mishap.silent', 'dies': 'fe-mishap.reply-short',
    'refuses': 'fe-iotlb.ends-are-announced', 'mute': 'fe-iotlb.answered',
    'not-covering': 'fe-iotlb.covers', 'no-update': 'fe-iotlb.covers',
    'too-little': 'fe-iotlb.permits', 'outside': 'fe-iotlb.updates-inside',
    'no-invalidate': 'fe-iotlb.changes-are-announced',
    'unacknowledged': 'fe-iotlb.acknowledged', 'echoes': 'fe-iotlb.reply-is-well-formed',
    'replies-always': 'fe-miss.unasked-reply', 'backwards': 'fe-miss.many',
    'believes': 'fe-miss.update-refused', 'one-at-a-time': 'fe-miss.served-while-awaited',
    'unoffered-feature': 'fe-negotiation.features-of-the-offer',
    'no-owner': 'fe-negotiation.owner', 'short-file': 'fe-memory.files',
    'wrong-size': 'fe-message.size', 'misaligned': 'fe-ring.aligned',
    'addresses-last': 'fe-ring.complete',
}
# What else is wrong with it, by right.
BESIDES = {
    'no-update': ['fe-iotlb.permits'],
    'not-covering': ['fe-iotlb.permits', 'fe-iotlb.changes-are-announced'],
}


def what_is_found(daemon, folder, fault):
  """The exit status, and id -> level of what fails, in the area of the case. Of mishaps each
  takes its time."""
  name = FAULTS[fault]
  area = name.split('.', maxsplit=1)[0]
  area = name if area == 'fe-mishap' else area
  # Where what is missing could come later, and does not.
  seconds = 2 if fault in ('refuses', 'mute') else 0.5
  with tempfile.TemporaryDirectory(dir=folder) as own:
    code, report = judge(Python(fault), daemon, own, f'--observe={seconds}', '--timeout=1',
                         f'--only={area}')
  return code, {case['id']: case['level'] for case in report['cases']
                if case['verdict'] in ('fail', 'error')}


def what_is_wrong_is_found(daemon, folder):
  with concurrent.futures.ThreadPoolExecutor(5) as pool:
    found = pool.map(lambda fault: what_is_found(daemon, folder, fault), FAULTS)
    for (fault, name), (code, wrong) in zip(FAULTS.items(), found):
      equal((fault, sorted(wrong)), (fault, sorted([name, *BESIDES.get(fault, [])])))
      equal((fault, code), (fault, FAULT if wrong[name] == 'must' else FINE))


# Those that take long come first.
TESTS = [
    *[does_what_is_known(subject, judge) for subject in PEERS],
    exit_codes_tell_what_happened,
    cases_are_listed_and_explained,
    a_type_that_is_wrong_is_no_lie,
    who_says_nothing_has_passed_nothing,
    a_front_end_that_does_not_come_back_is_told_so,
    what_is_wrong_is_found,
    passes_everything(RIGHT, judge, 80, '--observe=1'),
    *[passes_everything(subject, judge, subject.least) for subject in OURS],
]


if __name__ == '__main__':
  main(TESTS, at_once=3)
