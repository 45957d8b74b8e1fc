# SPDX-License-Identifier: BSD-3-Clause
"""vhu-blk (or a program with its command line) as a process on a temporary disk, and the figures
it leaves behind with --stats-json."""

import json
import os

from .process import KitError, Process, wait_until

LISTENING = 0x10000


class Daemon:
  def __init__(self, program, folder, disk, queues, extra=()):
    self.socket = os.path.join(folder, 'blk.sock')
    self.stats_path = os.path.join(folder, 'stats.json')
    argv = [program, f'--socket-path={self.socket}', f'--blk-file={disk}',
            f'--num-queues={queues}', f'--stats-json={self.stats_path}', '--log-level=info', *extra]
    self.process = Process(os.path.basename(program), argv, os.path.join(folder, 'daemon.log'))
    if not wait_until(lambda: self.is_listening() or not self.process.is_running(), 10) \
        or not self.process.is_running():
      self.process.kill()
      raise KitError(f'{program} does not listen:\n{self.process.log()}')

  def is_listening(self):
    """Looked up, not tried: a first connection of ours would be the session."""
    with open('/proc/net/unix', encoding='utf-8') as table:
      for line in table:
        words = line.split()
        if words[-1] == self.socket and int(words[3], 16) & LISTENING:
          return True
    return False

  def finish(self):
    """Called after the front-end has gone: ends the daemon and returns its figures, and what was
    wrong with the ending."""
    problems = []
    if not self.process.is_running():
      problems.append(f'the daemon died with status {self.process.child.returncode}')
    elif not wait_until(lambda: os.path.exists(self.stats_path), 10):
      problems.append('the daemon wrote no statistics at the end of the session')
    if self.process.is_running():
      status = self.process.terminate(10)
      if status != 0:
        problems.append('the daemon did not heed SIGTERM' if status is None else
                        f'the daemon ended with status {status} on SIGTERM')
    return self.stats(), problems

  def stats(self):
    try:
      with open(self.stats_path, encoding='utf-8') as file:
        return flatten(json.load(file))
    except (OSError, ValueError):
      return {}

  def kill(self):
    self.process.kill()


def flatten(tree):
  """{"requests": 1, "iotlb": {"misses": 2}} -> {"requests": 1, "misses": 2}; outer keys win."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      for inner, inner_value in flatten(value).items():
        flat.setdefault(inner, inner_value)
  flat.update((key, value) for key, value in tree.items() if not isinstance(value, (dict, list)))
  return flat
