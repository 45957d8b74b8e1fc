# SPDX-License-Identifier: BSD-3-Clause
"""Who is judged: how each back-end is started, and started again when a case has
killed it, and which verdicts are known of it (expected/NAME.txt)."""

import json
import os
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), name) for name in ('peers', 'blackbox')]
import qsd
import testpmd
from harness import Daemon

LIMIT = 240
NO_SUCH = 'there is no such case'
DISK = 16 << 20


def image_in(folder):
  path = os.path.join(folder, 'image')
  with open(path, 'wb') as file:
    file.truncate(DISK)
  return path


def version_of(*command):
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  match = re.search(r'\d+\.\d+(\.\d+)*', done.stdout)
  return match.group() if match else 'unknown'


class Own:
  """vhu-blk with @options; it needs no version, being of this tree."""
  type = 'blk'
  version = ''

  def __init__(self, name, *options):
    self.name = name
    self.options = options

  def lacking(self):
    return ''

  def start(self, daemon, folder, path):
    return Daemon(daemon, f'--socket-path={path}', f'--blk-file={image_in(folder)}',
                  *self.options)


class Storage:
  name = 'qemu-storage-daemon'
  type = 'blk'
  version = property(lambda self: version_of(qsd.PROGRAM, '--version'))

  def lacking(self):
    return qsd.lacking()

  def start(self, daemon, folder, path):
    if os.path.exists(path):
      os.unlink(path)
    return qsd.Qsd(path, image_in(folder), queues=2)


class Switch:
  name = 'dpdk-testpmd'
  type = 'net'
  version = property(lambda self: version_of('pkg-config', '--modversion', 'libdpdk'))

  def lacking(self):
    return testpmd.lacking()

  def start(self, daemon, folder, path):
    if os.path.exists(path):
      os.unlink(path)
    return testpmd.Testpmd(path, 'macswap')


# Ours, in the ways in which it works differently inside.
OURS = [Own('vhu-blk'), Own('vhu-blk-threads', '--queue-threads=2'),
        Own('vhu-blk-inline', '--engine=inline', '--no-miss-hints'),
        Own('vhu-blk-small-cache', '--iotlb-entries=8')]
PEERS = [Storage(), Switch()]


class Kept:
  """A subject that is started again when it has died; the pid of the one that lives is in a
  file. Whoever kills that one and removes the file has it started again, too."""

  def __init__(self, subject, daemon, folder):
    self.subject = subject
    self.arguments = daemon, folder, os.path.join(folder, 's')
    self.pid_file = os.path.join(folder, 'pid')
    self.over = False
    self.process = self.thread = None

  def __enter__(self):
    self.begin()
    self.thread = threading.Thread(target=self.keep)
    self.thread.start()
    return self

  def begin(self):
    self.process = self.subject.start(*self.arguments).__enter__()
    with open(self.pid_file + '.new', 'w', encoding='ascii') as file:
      file.write(str(self.process.child.pid))
    os.rename(self.pid_file + '.new', self.pid_file)

  def keep(self):
    while not self.over:
      if self.process.child.poll() is not None:
        if os.path.exists(self.pid_file):
          os.unlink(self.pid_file)
        self.process.__exit__(None)
        self.begin()
      time.sleep(0.02)

  def restart_command(self):
    file = self.pid_file
    return (f'kill -9 $(cat {file}) 2>/dev/null; rm -f {file}; '
            f'for i in $(seq 200); do [ -e {file} ] && exit 0; sleep 0.1; done; exit 1')

  def __exit__(self, *_):
    self.over = True
    self.thread.join()
    self.process.__exit__(None)


def judge(subject, daemon, folder, *more, seed=1):
  """The exit status and the report of --json, of a run with all that a run can have."""
  vhu = os.path.join(os.path.dirname(os.path.dirname(daemon)), 'tools', 'vhu')
  report = os.path.join(folder, 'report.json')
  label = f'{subject.name} {subject.version}'.strip()
  with Kept(subject, daemon, folder) as kept:
    done = subprocess.run(
        [vhu, 'conform', 'backend', f'--socket-path={kept.arguments[2]}',
         f'--type={subject.type}', f'--pid={kept.process.child.pid}',
         f'--restart-cmd={kept.restart_command()}', f'--json={report}', f'--label={label}',
         f'--seed={seed}', *more],
        capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
  if not os.path.exists(report):
    raise AssertionError(f'no report: {done.stdout}{done.stderr}')
  with open(report, encoding='utf-8') as file:
    return done.returncode, json.load(file)


def expected_path(name):
  return os.path.join(HERE, 'expected', f'{name}.txt')


def read_expected(name):
  """The version they were recorded of, and id -> set of verdicts of all that does not simply
  pass."""
  version, expected = '', {}
  with open(expected_path(name), encoding='utf-8') as file:
    for line in file:
      words = line.split()
      if line.startswith('# version'):
        version = words[2] if len(words) > 2 else ''
      elif words and not line.startswith('#'):
        expected[words[0]] = set(' '.join(words[1:]).split(' | '))
  return version, expected


def lasting_changes(judge_it, expected):
  """changes() that are so again when these cases are tried once more, with twice the patience:
  what is a matter of time differs with what else the machine does."""
  found = [line for line in changes(judge_it(), expected) if not is_better(line)]
  again = [line.split(':')[0] for line in found if not line.endswith(NO_SUCH)]
  if again:
    report = judge_it(f'--only={",".join(again)}', '--timeout=4')
    still = {case['id'] for case in report['cases']
             if case['verdict'] not in known_of(case, expected)}
    found = [line for line in found if line.endswith(NO_SUCH) or line.split(':')[0] in still]
  return found


def is_better(line):
  """Reported, and no fault: a race may be won, and a peer may be mended."""
  better = ': pass instead of' in line
  if better:
    print(f'# {line}', flush=True)
  return better


def known_of(case, expected):
  return expected.get(case['id'], {'pass', 'not applicable'})


def changes(report, expected):
  """Lines on what is not as it was recorded."""
  ids = set()
  for case in report['cases']:
    ids.add(case['id'])
    known = known_of(case, expected)
    if case['verdict'] not in known:
      why = f" ({case['reason']})" if 'reason' in case else ''
      yield f"{case['id']}: {case['verdict']} instead of {' | '.join(sorted(known))}{why}"
  for name in sorted(set(expected) - ids):
    yield f'{name}: {NO_SUCH}'
