# SPDX-License-Identifier: BSD-3-Clause
"""Runs test functions and reports them in TAP; starts vhu-blk and always ends it."""

import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

LIMIT = 10


class Skip(Exception):
  """Says why."""


class Daemon:
  """vhu-blk as a process, with what it said. Use in a with statement."""

  def __init__(self, program, *arguments, wait_for='serving', **more):
    self.log_file = tempfile.TemporaryFile()
    self.child = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL,
                                  stdout=self.log_file, stderr=self.log_file, **more)
    if wait_for and not until(lambda: wait_for in self.log() or self.child.poll() is not None):
      self.kill()
      raise AssertionError(f'no "{wait_for}" in: {self.log()}')

  def __enter__(self):
    return self

  def __exit__(self, kind, *_):
    self.kill()
    if kind and kind is not Skip:
      print('# vhu-blk said:', *self.log().splitlines()[-40:], sep='\n#   ', flush=True)
    self.log_file.close()

  def log(self):
    size = os.fstat(self.log_file.fileno()).st_size
    return os.pread(self.log_file.fileno(), size, 0).decode()

  def signal(self, number):
    self.child.send_signal(number)

  def wait(self):
    return self.child.wait(LIMIT)

  def end(self):
    """Its exit code on SIGTERM."""
    self.signal(signal.SIGTERM)
    return self.wait()

  def kill(self):
    if self.child.poll() is None:
      self.child.kill()
      self.child.wait()


def until(predicate, seconds=LIMIT):
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    if predicate():
      return True
    time.sleep(0.01)
  return predicate()


def equal(got, want):
  if got != want:
    raise AssertionError(f'{got!r} instead of {want!r}')


def true(value, what):
  if not value:
    raise AssertionError(f'not true: {what}')


def outcome(test, daemon):
  """What there is to say of a test: (suffix of its line or None where it fails, more lines)."""
  with tempfile.TemporaryDirectory(prefix='vhu-') as folder:
    try:
      test(daemon, folder)
      return '', []
    except Skip as why:
      return f' # SKIP {why}', []
    except Exception:  # a test may fail in any way
      return None, traceback.format_exc().splitlines()


def main(tests, at_once=1):
  """Each test gets the path of the daemon and an empty folder. @at_once: how many run side by
  side, where they mostly wait."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--daemon', required=True, help='the vhu-blk to test')
  parser.add_argument('--only', default='', help='run tests with this in their name')
  options = parser.parse_args()
  daemon = os.path.abspath(options.daemon)
  wrong = 0
  print(f'1..{len(tests)}', flush=True)

  def run(test):
    return outcome(test, daemon) if options.only in test.__name__ else (' # SKIP not asked for', [])

  with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
    for number, (test, (suffix, lines)) in enumerate(zip(tests, pool.map(run, tests)), 1):
      wrong += suffix is None
      for line in lines:
        print(f'# {line}')
      print(f'{"not ok" if suffix is None else "ok"} {number} - {test.__name__}{suffix or ""}',
            flush=True)
  sys.exit(1 if wrong else 0)
