# SPDX-License-Identifier: BSD-3-Clause
"""A child process that cannot outlive us: known by its pid, bounded in time, killed at the latest
when this program ends, however that comes about."""

import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class KitError(Exception):
  """The run itself failed (not a figure of it): the text is meant for a person."""


def die_with_parent():
  LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
  def __init__(self, name, argv, log_path):
    self.name = name
    self.log_path = log_path
    self.started = time.monotonic()
    with open(log_path, 'wb') as log:
      try:
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      preexec_fn=die_with_parent)
      except OSError as error:
        raise KitError(f'{name}: cannot start {argv[0]}: {error.strerror}') from error

  def is_running(self):
    return self.child.poll() is None

  def wait(self, seconds, tick=None):
    """Waits for the end and returns the exit status, or None after that many seconds. tick is
    called about ten times a second meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
      try:
        return self.child.wait(min(0.1, max(0.01, end - time.monotonic())))
      except subprocess.TimeoutExpired:
        if tick:
          tick()
    return None

  def terminate(self, seconds):
    """SIGTERM, then SIGKILL for what does not listen. Returns the exit status, None if killed."""
    if self.is_running():
      self.child.terminate()
    status = self.wait(seconds)
    if status is None:
      self.kill()
    return status

  def kill(self):
    if self.is_running():
      self.child.kill()
      self.child.wait()

  def cpu_seconds(self):
    """CPU time so far by name of thread, {} when it has ended."""
    seconds = {}
    folder = f'/proc/{self.child.pid}/task'
    try:
      for thread in os.listdir(folder):
        with open(f'{folder}/{thread}/stat', encoding='utf-8') as file:
          name, _, rest = file.read().partition('(')[2].rpartition(')')
        fields = rest.split()
        used = (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        seconds[name] = seconds.get(name, 0.0) + used
    except (OSError, IndexError):
      return {}
    return seconds

  def log(self, lines=20):
    return tail(self.log_path, lines)


def tail(path, lines):
  try:
    with open(path, 'rb') as file:
      text = file.read().decode('utf-8', 'replace')
  except OSError:
    return ''
  return '\n'.join(text.replace('\r', '').splitlines()[-lines:])


def wait_until(predicate, seconds, step=0.02):
  end = time.monotonic() + seconds
  while not predicate():
    if time.monotonic() >= end:
      return False
    time.sleep(step)
  return True
