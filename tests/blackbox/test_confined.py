#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu-blk as it runs, confined: every engine, session after session; zeroes and discards;
disks that fail.

    tests/blackbox/test_confined.py --daemon build/daemons/vhu-blk
"""

import os
import random
import resource
import signal
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
import frontend as fe
from disk import DISK, connect, disk_of, figures, start
from harness import LIMIT, Skip, equal, main, true, until

ENGINES = ('inline', 'threads', 'io_uring')


def is_confined(process):
  """False where this build can't be; then its log says so."""
  return 'not confined' not in process.log()


def privileges(process):
  """(no_new_privs, seccomp mode) of each thread."""
  found = set()
  for thread in os.listdir(f'/proc/{process.child.pid}/task'):
    with open(f'/proc/{process.child.pid}/task/{thread}/status', encoding='ascii') as file:
      status = dict(line.split(':', 1) for line in file)
    found.add((int(status['NoNewPrivs']), int(status['Seccomp'])))
  return found


def all_threads_are_confined(daemon, folder):
  before = privileges_of_self()
  with start(daemon, folder, f'--blk-file={disk_of(folder)}', '--queue-threads=3',
             '--engine=threads') as process:
    front_end = connect(folder)
    front_end.start()
    equal(privileges(process), {(1, 2)} if is_confined(process) else {before})
    front_end.close()
  with start(daemon, folder, '--memory=1M', '--no-sandbox') as process:
    equal(privileges(process), {before})


def privileges_of_self():
  with open('/proc/self/status', encoding='ascii') as file:
    status = dict(line.split(':', 1) for line in file)
  return int(status['NoNewPrivs']), int(status['Seccomp'])


def a_session(folder, rounds):
  """Everything a front-end does, on two queues one after the other; errors it has made."""
  front_end = connect(folder, fe.F_FLUSH | fe.F_DISCARD | fe.F_WRITE_ZEROES)
  for queue in (0, 1):
    front_end.avail = front_end.seen = 0
    front_end.mem[fe.DESC:fe.SLOTS] = bytes(fe.SLOTS)
    front_end.start(queue)
    for number in range(rounds):
      data = random.randbytes(32768)
      for slot in range(20):
        front_end.post(slot, fe.OUT, 64 * slot, data)
      front_end.notify()
      front_end.wait(20)
      equal(front_end.request(fe.FLUSH)[0], fe.OK)
      equal(front_end.request(fe.IN, 64 * number, room=32768), (fe.OK, data))
    zeroes = struct.pack('<QII', 0, 64, 1)
    equal(front_end.request(fe.WRITE_ZEROES, 0, zeroes)[0], fe.OK)
    equal(front_end.request(fe.DISCARD, 0, struct.pack('<QII', 64, 64, 0))[0], fe.OK)
    equal(front_end.request(fe.IN, 0, room=32768), (fe.OK, bytes(32768)))
    front_end.stop(queue)
  front_end.close()


def every_engine_works_session_after_session(daemon, folder):
  cases = [['--memory=4M']]
  cases += [[f'--blk-file={disk_of(folder)}', f'--engine={name}'] for name in ENGINES]
  cases += [[*case, '--queue-threads=2'] for case in cases]
  for case in cases:
    with start(daemon, folder, *case) as process:
      for number in range(1, 5):
        a_session(folder, 2)
        true(until(lambda n=number: figures(folder)['sessions'] == n), 'statistics are written')
      equal(figures(folder)['errors'], 0)
      process.signal(signal.SIGUSR1)
      true('io_uring can' not in process.log() and 'forbidden' not in process.log(),
           process.log())
      equal(process.end(), 0)
    true(not os.path.exists(f'{folder}/s'), 'the socket is removed')
    os.unlink(f'{folder}/stats')
  equal(sorted(os.listdir(folder)), ['disk'])


def allocated(path):
  os.sync()
  return os.stat(path).st_blocks * 512


def discarded_space_is_given_back(daemon, folder):
  for engine in ENGINES:
    for kind, flags in ((fe.DISCARD, 0), (fe.WRITE_ZEROES, 1)):
      path = disk_of(folder)
      with start(daemon, folder, f'--blk-file={path}', f'--engine={engine}'):
        front_end = connect(folder, fe.F_FLUSH | fe.F_DISCARD | fe.F_WRITE_ZEROES)
        true(front_end.offered & fe.F_DISCARD and front_end.offered & fe.F_WRITE_ZEROES,
             'both are offered')
        front_end.start()
        for number in range(DISK // 32768):
          equal(front_end.request(fe.OUT, 64 * number, b'z' * 32768)[0], fe.OK)
        equal(front_end.request(fe.FLUSH)[0], fe.OK)
        true(allocated(path) >= DISK, 'the file is full')
        ranges = b''.join(struct.pack('<QII', DISK // 1024 * n, DISK // 1024, flags)
                          for n in (1, 0))
        equal(front_end.request(kind, 0, ranges)[0], fe.OK)
        equal(front_end.request(fe.FLUSH)[0], fe.OK)
        true(allocated(path) < DISK // 4, f'{allocated(path)} bytes are allocated')
        equal(front_end.request(fe.IN, 100, room=512), (fe.OK, bytes(512)))
        front_end.close()


class LoopDevice:
  """A file as a block device; needs root."""

  def __init__(self, path):
    self.path = path

  def __enter__(self):
    try:
      done = subprocess.run(['losetup', '--find', '--show', self.path], capture_output=True,
                            text=True, timeout=LIMIT, check=False)
    except FileNotFoundError:
      raise Skip('there is no losetup here') from None
    if done.returncode:
      raise Skip('no loop device can be had here')
    self.name = done.stdout.strip()
    return self

  def __exit__(self, *_):
    subprocess.run(['losetup', '--detach', self.name], timeout=LIMIT, check=False)

  def measure(self):
    subprocess.run(['losetup', '--set-capacity', self.name], timeout=LIMIT, check=True)


def a_block_device_is_a_disk(daemon, folder):
  """Data, zeroes, discards, its lock, and that it grows."""
  path = disk_of(folder)
  with LoopDevice(path) as device:
    for case in [[f'--engine={name}'] for name in ENGINES] + [['--direct']]:
      os.truncate(path, 0)
      os.truncate(path, DISK)
      device.measure()
      with start(daemon, folder, f'--blk-file={device.name}', *case) as process:
        front_end = connect(folder, fe.F_FLUSH | fe.F_DISCARD | fe.F_WRITE_ZEROES)
        true(front_end.offered & fe.F_WRITE_ZEROES, 'zeroes are offered')
        front_end.start()
        for number in range(4):
          equal(front_end.request(fe.OUT, 64 * number, b'b' * 32768)[0], fe.OK)
        for number, flags in ((0, 0), (1, 1)):
          ranges = struct.pack('<QII', 64 * number, 64, flags)
          equal(front_end.request(fe.WRITE_ZEROES, 0, ranges)[0], fe.OK)
          equal(front_end.request(fe.IN, 64 * number, room=32768), (fe.OK, bytes(32768)))
        if front_end.offered & fe.F_DISCARD:
          ranges = struct.pack('<QII', 128, 64, 0)
          equal(front_end.request(fe.DISCARD, 0, ranges)[0], fe.OK)
        equal(front_end.request(fe.IN, 192, room=32768), (fe.OK, b'b' * 32768))
        equal(front_end.request(fe.FLUSH)[0], fe.OK)
        os.truncate(path, 2 * DISK)
        device.measure()
        process.signal(signal.SIGHUP)
        true(until(lambda p=process: 'has grown to 8 MiB' in p.log()), 'it is told')
        equal(front_end.request(fe.OUT, DISK // 512, b'c' * 4096)[0], fe.OK)
        front_end.close()
        equal(process.end(), 0)


def hostile_lists_of_ranges(daemon, folder):
  with start(daemon, folder, '--memory=1M') as process:
    front_end = connect(folder, fe.F_FLUSH | fe.F_DISCARD | fe.F_WRITE_ZEROES)
    most, = struct.unpack_from('<I', front_end.config(), 40)
    front_end.start()
    equal(front_end.request(fe.OUT, 0, b'k' * 32768)[0], fe.OK)
    good = struct.pack('<QII', 0, 8, 0)
    cases = [
        (struct.pack('<QII', 2048, 1, 0), fe.IOERR),
        (struct.pack('<QII', (1 << 64) - 1, 2, 0), fe.IOERR),
        (struct.pack('<QII', 0, (1 << 32) - 1, 0), fe.IOERR),
        (struct.pack('<QII', 0, 8, 0xfe), fe.UNSUPP),
        (good[:15], fe.IOERR),
        (good + b'x', fe.IOERR),
        (good * (most + 1), fe.IOERR),
        (b'', fe.IOERR),
        (struct.pack('<QII', 2048, 0, 0), fe.OK),
    ]
    for ranges, status in cases:
      for kind in (fe.DISCARD, fe.WRITE_ZEROES):
        equal((ranges, front_end.request(kind, 0, ranges)[0]), (ranges, status))
        equal(front_end.request(fe.IN, 0, room=32768), (fe.OK, b'k' * 32768))
    front_end.close()
    equal(process.end(), 0)


def on_a_full_file_system(daemon, folder):
  """A daemon whose disk of 16 MiB lies on a file system of 1 MiB, in a mount namespace."""
  shell = (f'mount -t tmpfs -o size=1m none {folder}/small && truncate -s 16M {folder}/small/disk '
           '&& exec "$@"')
  command = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', shell, 'sh']
  os.makedirs(f'{folder}/small', exist_ok=True)
  try:
    done = subprocess.run([*command, 'true'], capture_output=True, timeout=LIMIT, check=False)
    if done.returncode:
      raise Skip('this user can\'t mount in a namespace of its own')
  except FileNotFoundError:
    raise Skip('there is no unshare here') from None
  return command


def a_full_file_system_is_an_error_of_the_request(daemon, folder):
  command = on_a_full_file_system(daemon, folder)
  for engine in ENGINES:
    with start(daemon, folder, f'--blk-file={folder}/small/disk', f'--engine={engine}',
               by=command) as process:
      front_end = connect(folder)
      front_end.start()
      statuses = [front_end.request(fe.OUT, 64 * n, b'f' * 32768)[0] for n in range(64)]
      equal(statuses[0], fe.OK)
      equal(statuses[-1], fe.IOERR)
      equal(front_end.request(fe.IN, 0, room=32768), (fe.OK, b'f' * 32768))
      equal(front_end.request(fe.OUT, 0, b'g' * 32768)[0], fe.OK)
      front_end.close()
      a_session_is_served(folder)
      equal(process.end(), 0)


def a_session_is_served(folder):
  front_end = connect(folder)
  front_end.start()
  equal(front_end.request(fe.IN, 0, room=512)[0], fe.OK)
  front_end.close()


def a_limit_on_files_is_an_error_of_the_request(daemon, folder):
  """Beyond it a write raises a signal that ends who does not expect it."""
  limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
  for engine in ENGINES:
    with start(daemon, folder, f'--blk-file={disk_of(folder)}', f'--engine={engine}',
               preexec_fn=limit) as process:
      front_end = connect(folder)
      front_end.start()
      equal(front_end.request(fe.OUT, 0, b'l' * 512)[0], fe.OK)
      equal(front_end.request(fe.OUT, 4096, b'l' * 512)[0], fe.IOERR)
      equal(front_end.request(fe.IN, 0, room=512), (fe.OK, b'l' * 512))
      front_end.close()
      equal(process.end(), 0)


def a_file_that_lost_its_end_gives_errors(daemon, folder):
  for engine in ENGINES:
    path = disk_of(folder)
    with start(daemon, folder, f'--blk-file={path}', f'--engine={engine}') as process:
      front_end = connect(folder)
      front_end.start()
      os.truncate(path, 65536)
      equal(front_end.request(fe.IN, 0, room=32768), (fe.OK, bytes(32768)))
      equal(front_end.request(fe.IN, 96, room=32768)[0], fe.IOERR)
      equal(front_end.request(fe.IN, 4096, room=512)[0], fe.IOERR)
      equal(front_end.request(fe.OUT, 4096, b'w' * 512)[0], fe.OK)
      equal(front_end.request(fe.IN, 4096, room=512), (fe.OK, b'w' * 512))
      front_end.close()
      equal(figures(folder)['errors'], 2)
      os.unlink(f'{folder}/stats')
      equal(process.end(), 0)


if __name__ == '__main__':
  random.seed(1)
  main([
      all_threads_are_confined,
      every_engine_works_session_after_session,
      discarded_space_is_given_back,
      a_block_device_is_a_disk,
      hostile_lists_of_ranges,
      a_full_file_system_is_an_error_of_the_request,
      a_limit_on_files_is_an_error_of_the_request,
      a_file_that_lost_its_end_gives_errors,
  ])
