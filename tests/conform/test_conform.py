#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu conform, against programs whose verdicts are known.

    tests/conform/test_conform.py --daemon build/daemons/vhu-blk

Ours pass everything. What others do is recorded in expected/, with the version it was
recorded of, by tests/conform/record.py; a change is a failure if the version is the same.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
from known import does_what_is_known, passes_everything
from subjects import OURS, PEERS, judge
from harness import Daemon, equal, main, true, until

FINE, FAULT, USAGE, NO_PEER = 0, 1, 2, 3

# Of the cases, those that apply to any disk of ours.
LEAST = 340


def run(daemon, *arguments):
  vhu = os.path.join(os.path.dirname(os.path.dirname(daemon)), 'tools', 'vhu')
  return subprocess.run([vhu, 'conform', *arguments], capture_output=True, text=True, timeout=60,
                        stdin=subprocess.DEVNULL)


def a_disk(daemon, path):
  return Daemon(daemon, f'--socket-path={path}', '--memory=16M')


def exit_codes_tell_what_happened(daemon, folder):
  path = os.path.join(folder, 's')
  equal(run(daemon).returncode, USAGE)
  equal(run(daemon, 'nobody').returncode, USAGE)
  equal(run(daemon, 'backend').returncode, USAGE)
  equal(run(daemon, 'backend', f'--socket-path={path}', '--type=disk').returncode, USAGE)
  equal(run(daemon, 'backend', f'--socket-path={path}', '--only=nothing').returncode, USAGE)
  equal(run(daemon, 'backend', '--explain=nothing').returncode, USAGE)
  done = run(daemon, 'backend', f'--socket-path={path}', '--timeout=0.2')
  equal(done.returncode, NO_PEER)
  true(path in done.stderr, done.stderr)


def whoever_does_not_answer_is_no_back_end(daemon, folder):
  path = os.path.join(folder, 's')
  with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(path)
    listener.listen()
    done = run(daemon, 'backend', f'--socket-path={path}', '--timeout=0.2')
  equal(done.returncode, NO_PEER)


def a_program_that_answers_nonsense_is_no_back_end(daemon, folder):
  path = os.path.join(folder, 's')
  child = subprocess.Popen(
      [sys.executable, '-c', 'import socket, sys\n'
       's = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n'
       'c, _ = s.accept(); c.recv(100); c.send(b"HTTP/1.1 400 Bad Request")', path],
      stdin=subprocess.DEVNULL)
  try:
    done = run(daemon, 'backend', f'--socket-path={path}', '--timeout=5')
    equal(done.returncode, NO_PEER)
  finally:
    child.kill()
    child.wait()


def cases_are_listed_and_explained(daemon, folder):
  done = run(daemon, 'backend', '--list')
  equal(done.returncode, FINE)
  ids = [line.split()[0] for line in done.stdout.splitlines()]
  true(len(ids) >= 120, f'{len(ids)} cases')
  equal(len(set(ids)), len(ids))
  done = run(daemon, 'backend', f'--explain={ids[0]}')
  equal(done.returncode, FINE)
  for word in (ids[0], 'level', 'rule'):
    true(word in done.stdout, done.stdout)


def reports_say_the_same(daemon, folder):
  path, xml_path = os.path.join(folder, 's'), os.path.join(folder, 'x')
  json_path = os.path.join(folder, 'j')
  with a_disk(daemon, path):
    done = run(daemon, 'backend', f'--socket-path={path}', '--type=blk', '--only=config,ring',
               '--tap', f'--junit={xml_path}', f'--json={json_path}')
    equal((done.returncode, done.stderr), (FINE, ''))
    lines = done.stdout.splitlines()
    with open(json_path, encoding='utf-8') as file:
      report = json.load(file)
    equal(lines[:2], ['TAP version 13', f'1..{len(report["cases"])}'])
    tree = xml.etree.ElementTree.parse(xml_path)
    equal([case.get('name') for case in tree.iter('testcase')],
          [case['id'] for case in report['cases']])
    equal(len([line for line in lines if line.startswith('ok ')]), len(report['cases']))
    whole = run(daemon, 'backend', f'--socket-path={path}', '--type=blk', '--only=config',
                '--verbose')
    true('GET_CONFIG' in whole.stdout and 'conforms' in whole.stdout, whole.stdout)


def runs_are_compared(daemon, folder):
  path = os.path.join(folder, 's')
  files = [os.path.join(folder, name) for name in ('a', 'b')]
  with a_disk(daemon, path):
    for name, kind in zip(files, ('any', 'blk')):
      run(daemon, 'backend', f'--socket-path={path}', f'--type={kind}', '--only=config',
          f'--json={name}', f'--label={kind}')
  equal(run(daemon, '--compare', files[0], files[0]).returncode, FINE)
  done = run(daemon, '--compare', *files)
  equal(done.returncode, FAULT)
  true('not applicable' in done.stdout and 'config.read-whole' in done.stdout, done.stdout)
  true('config.read ' not in done.stdout, done.stdout)
  done = run(daemon, '--table', *files)
  true(done.returncode == FINE and '| `config.read` | must | pass | pass |' in done.stdout,
       done.stdout)
  equal(run(daemon, '--compare', files[0]).returncode, USAGE)
  equal(run(daemon, '--compare', files[0], path).returncode, USAGE)


class Wrong:
  """wrong_backend.py with one @fault."""

  def __init__(self, path, fault=''):
    self.child = subprocess.Popen([sys.executable, os.path.join(HERE, 'wrong_backend.py'), path,
                                   fault], stdin=subprocess.DEVNULL)
    true(until(lambda: os.path.exists(path)), 'it listens')

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.child.kill()
    self.child.wait()


def verdicts(daemon, folder, fault, *more):
  """Of what needs no data to be moved: the exit code, and id -> (verdict, level)."""
  path, report = os.path.join(folder, fault or 'right'), os.path.join(folder, 'j')
  with Wrong(path, fault) as wrong:
    done = run(daemon, 'backend', f'--socket-path={path}', f'--pid={wrong.child.pid}',
               '--timeout=0.3', f'--json={report}', *more)
  with open(report, encoding='utf-8') as file:
    cases = json.load(file)['cases']
  return done.returncode, {case['id']: (case['verdict'], case['level']) for case in cases}


MESSAGES = '--only=negotiation,messages,payload,vring-state'


def a_back_end_that_is_right_passes(daemon, folder):
  code, found = verdicts(daemon, folder, '', MESSAGES)
  equal([name for name in found if found[name][0] not in ('pass', 'not applicable')], [])
  equal(code, FINE)


# Fault -> what fails of it, and whether the run does.
FAULTS = {
    'any-version': (['messages.version-0', 'messages.version-2'], FINE),
    'echoes': (['messages.need-reply-is-not-echoed'], FINE),
    'replies-twice': (['messages.one-reply-is-enough', 'payload.get-features.reply'], FAULT),
    'acks-all': (['messages.ack-only-when-asked'], FAULT),
    'loses-base': (['vring-state.base-comes-back'], FAULT),
    'leaks-fds': (['payload.fd-that-nobody-wants', 'payload.fds-that-nobody-wants'], FAULT),
    'accepts': (['messages.unknown-request', 'negotiation.unoffered-feature',
                 'payload.set-features.too-short', 'payload.set-vring-kick.no-fd',
                 'vring-state.num.zero', 'vring-state.no-such-ring.set-vring-num'], FINE),
}


def what_is_wrong_is_found(daemon, folder):
  for fault, (names, code) in FAULTS.items():
    got, found = verdicts(daemon, folder, fault, MESSAGES)
    equal((fault, got), (fault, code))
    equal((fault, [name for name in names if found[name][0] != 'fail']), (fault, []))
    # And what is not about it is not blamed.
    equal((fault, found['negotiation.features-are-stable'][0]), (fault, 'pass'))
    equal((fault, found['negotiation.version-1'][0]), (fault, 'pass'))


def a_death_is_the_verdict(daemon, folder):
  for fault in ('dies', 'hangs'):
    only = '--only=negotiation.queue-num,negotiation.every*,negotiation.back*,vring-state.num*'
    code, found = verdicts(daemon, folder, fault, only)
    equal(code, FAULT)
    # A back-end that dies of a case that asks politely has failed a must.
    equal(found['negotiation.queue-num'][0], 'pass')
    equal(found['negotiation.every-queue-is-there'], ('fail', 'must'))
    if fault == 'dies':
      equal({found[name][0] for name in found if name.startswith('vring-state')}, {'error'})


def a_back_end_of_one_connection_is_started_for_each(daemon, folder):
  path = os.path.join(folder, 's')
  program = os.path.join(HERE, 'wrong_backend.py')
  command = f'rm -f {path}; {sys.executable} {program} {path} one-shot >/dev/null 2>&1 &'
  only = '--only=negotiation.queue-num,negotiation.version-1,vring-state.base-*'
  with Wrong(path, 'one-shot'):
    done = run(daemon, 'backend', f'--socket-path={path}', only)
    equal(done.returncode, NO_PEER)
    true('--restart-cmd' in done.stderr, done.stderr)
  os.unlink(path)
  with Wrong(path, 'one-shot'):
    done = run(daemon, 'backend', f'--socket-path={path}', only, '--tap',
               f'--restart-cmd={command}')
    equal(done.returncode, FINE)
    true(done.stdout.count('\nok ') >= 4 and 'not ok' not in done.stdout, done.stdout)


def a_back_end_that_is_silent_from_the_start_is_none(daemon, folder):
  path = os.path.join(folder, 's')
  with a_disk(daemon, path) as disk:
    disk.signal(signal.SIGSTOP)
    done = run(daemon, 'backend', f'--socket-path={path}', '--timeout=0.2')
    equal(done.returncode, NO_PEER)


def whoever_serves_no_request_is_no_disk(daemon, folder):
  """Nor is it judged for hours: nothing would be done in time."""
  path = os.path.join(folder, 's')
  with Wrong(path):
    done = run(daemon, 'backend', f'--socket-path={path}', '--type=blk', '--timeout=0.3')
    equal(done.returncode, NO_PEER)
    true('no disk' in done.stderr and '--type=any' in done.stderr, done.stderr)


def a_disk_is_not_taken_for_a_network_that_echoes(daemon, folder):
  path = os.path.join(folder, 's')
  with a_disk(daemon, path):
    done = run(daemon, 'backend', f'--socket-path={path}', '--type=net', '--verbose',
               '--only=memory.every-region,iotlb-miss.reading')
    equal(done.returncode, FINE)
    equal(done.stdout.count('the back-end sends no frames back'), 2)


# Those that take long come first.
TESTS = [
    *[does_what_is_known(subject, judge) for subject in reversed(PEERS)],
    exit_codes_tell_what_happened,
    whoever_does_not_answer_is_no_back_end,
    a_program_that_answers_nonsense_is_no_back_end,
    cases_are_listed_and_explained,
    reports_say_the_same,
    runs_are_compared,
    a_back_end_that_is_silent_from_the_start_is_none,
    a_back_end_of_one_connection_is_started_for_each,
    a_back_end_that_is_right_passes,
    what_is_wrong_is_found,
    whoever_serves_no_request_is_no_disk,
    a_disk_is_not_taken_for_a_network_that_echoes,
    a_death_is_the_verdict,
    *[passes_everything(subject, judge, LEAST) for subject in OURS],
]


if __name__ == '__main__':
  main(TESTS, at_once=2)
