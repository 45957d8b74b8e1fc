#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A thousand front-ends one after the other, half of them cut in mid-message: vhu-blk is left with
no fd, no thread and no memory of them.

    tests/blackbox/test_connections.py --daemon build/daemons/vhu-blk
"""

import os
import random
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
import frontend as fe
from frontend import Frontend
from harness import Daemon, equal, main, true, until

CONNECTIONS = 1000
WARM_UP = 100
RSS_GROWTH = 1 << 20
DISK = 4 << 20


def holdings(pid):
  """fds, threads, mappings of guest memory."""
  with open(f'/proc/{pid}/maps', encoding='ascii') as file:
    mapped = file.read().count('memfd:vm')
  return (len(os.listdir(f'/proc/{pid}/fd')), len(os.listdir(f'/proc/{pid}/task')), mapped)


def at_rest(pid):
  """What it holds with nobody connected; it may take a moment to let go."""
  now = holdings(pid)
  since = time.monotonic()
  while time.monotonic() < since + 0.2:
    if holdings(pid) != now:
      now, since = holdings(pid), time.monotonic()
    time.sleep(0.01)
  return now


def resident(pid):
  with open(f'/proc/{pid}/statm', encoding='ascii') as file:
    return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')


def is_sanitized(pid):
  """What was freed stays resident for long, on purpose."""
  with open(f'/proc/{pid}/maps', encoding='ascii') as file:
    return 'libasan' in file.read()


def messages(front_end):
  """A session's messages as (bytes, fds), in an order that makes sense."""
  region = struct.pack('<IIQQQQ', 1, 0, fe.GPA, fe.SIZE, fe.UVA, 0)
  plan = [
    (fe.GET_FEATURES, b'', []),
    (fe.GET_PROTOCOL_FEATURES, b'', []),
    (fe.SET_PROTOCOL_FEATURES, struct.pack('<Q', fe.P_MQ | fe.P_REPLY_ACK | fe.P_CONFIG), []),
    (fe.SET_OWNER, b'', []),
    (fe.SET_FEATURES, struct.pack('<Q', fe.F_FLUSH | fe.F_PROTOCOL | fe.F_VERSION_1), []),
    (fe.GET_CONFIG, struct.pack('<III', 0, 60, 0) + bytes(60), []),
    (fe.SET_MEM_TABLE, region, [front_end.memfd]),
    (fe.SET_VRING_NUM, struct.pack('<II', 0, fe.RING), []),
    (fe.SET_VRING_ADDR, struct.pack('<IIQQQQ', 0, 0, fe.UVA + fe.DESC, fe.UVA + fe.USED,
                                    fe.UVA + fe.AVAIL, 0), []),
    (fe.SET_VRING_BASE, struct.pack('<II', 0, 0), []),
    (fe.SET_VRING_CALL, struct.pack('<Q', 0), [front_end.call]),
    (fe.SET_VRING_KICK, struct.pack('<Q', 0), [front_end.kick]),
    (fe.SET_VRING_ENABLE, struct.pack('<II', 0, 1), []),
  ]
  return [(struct.pack('<III', request, 1, len(payload)) + payload, fds)
          for request, payload, fds in plan]


def cut_one(front_end, dice):
  """Says so much of a session, without listening, and hangs up inside a message."""
  said = messages(front_end)
  last = dice.randrange(len(said))
  for number, (data, fds) in enumerate(said[:last + 1]):
    if number == last:
      data = data[:dice.randrange(1, len(data))]
    try:
      socket.send_fds(front_end.sock, [data], fds)
    except (BrokenPipeError, ConnectionResetError):
      break


def leave_one(front_end, dice):
  """Uses the disk, and leaves in an orderly way, or with requests under way."""
  front_end.negotiate()
  front_end.start()
  data = dice.randbytes(4096)
  equal(front_end.request(fe.OUT, 8, data)[0], fe.OK)
  equal(front_end.request(fe.IN, 8, room=4096), (fe.OK, data))
  how = dice.randrange(3)
  if how == 0:
    front_end.stop()
  elif how == 1:
    for slot in range(16):
      front_end.post(slot, fe.IN, 8 * slot, room=32768)
    front_end.notify()


def run(daemon, folder, *arguments):
  dice = random.Random(1)
  with Daemon(daemon, f'--socket-path={folder}/s', '--log-level=error', *arguments,
              wait_for='') as process:
    pid = process.child.pid
    true(until(lambda: os.path.exists(f'{folder}/s')), 'the socket is there')
    for number in range(CONNECTIONS):
      front_end = Frontend.connect(f'{folder}/s')
      if number % 2:
        cut_one(front_end, dice)
      else:
        leave_one(front_end, dice)
      front_end.close()
      if number == WARM_UP:
        before, resident_before = at_rest(pid), resident(pid)
    equal(at_rest(pid), before)
    grown = resident(pid) - resident_before
    if not is_sanitized(pid):
      true(grown <= RSS_GROWTH, f'{grown} bytes more are resident')
    equal(process.end(), 0)


def disk_of(folder):
  path = os.path.join(folder, 'disk')
  with open(path, 'wb') as file:
    file.truncate(DISK)
  return f'--blk-file={path}'


def a_thousand_leave_nothing_behind(daemon, folder):
  run(daemon, folder, disk_of(folder), '--engine=threads')


def a_thousand_leave_nothing_behind_in_threads(daemon, folder):
  run(daemon, folder, disk_of(folder), '--engine=io_uring', '--num-queues=4',
      '--queue-threads=2')


if __name__ == '__main__':
  main([
    a_thousand_leave_nothing_behind,
    a_thousand_leave_nothing_behind_in_threads,
  ])
