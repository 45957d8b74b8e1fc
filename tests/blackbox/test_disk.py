#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu-blk as a disk: I/O through a ring with every engine, configuration, sessions, endings.

    tests/blackbox/test_disk.py --daemon build/daemons/vhu-blk
"""

import ctypes
import os
import random
import signal
import struct
import sys
import time

sys.dont_write_bytecode = True
import frontend as fe
from disk import DISK, connect, disk_of, figures, start
from harness import LIMIT, Skip, equal, main, true, until

def write_and_compare(front_end, rounds, slots=20):
  """Random writes and reads, many at once, each slot in its own part of the disk."""
  shadow = bytearray(DISK)
  part = DISK // slots // 512 * 512
  moved = 0
  for _ in range(rounds):
    expected = {}
    for slot in range(slots):
      size = 512 * random.randint(1, 64)
      at = slot * part + 512 * random.randint(0, (part - size) // 512)
      if random.random() < 0.5:
        data = random.randbytes(size)
        shadow[at:at + size] = data
        front_end.post(slot, fe.OUT, at // 512, data)
        expected[slot] = None
      else:
        front_end.post(slot, fe.IN, at // 512, room=size)
        expected[slot] = bytes(shadow[at:at + size])
      moved += size
    front_end.notify()
    for slot, written in front_end.wait(slots):
      equal(front_end.status(slot), fe.OK)
      want = expected.pop(slot)
      equal(written, 1 + len(want or b''))
      if want is not None:
        true(front_end.data(slot, len(want)) == want, f'the data of slot {slot}')
    equal(expected, {})
  equal(front_end.request(fe.FLUSH)[0], fe.OK)
  return shadow, moved


def every_engine_keeps_what_is_written(daemon, folder):
  cases = [['--memory=4M'], [f'--blk-file={disk_of(folder)}']]
  cases += [[f'--blk-file={disk_of(folder)}', f'--engine={name}']
            for name in ('io_uring', 'threads', 'inline')]
  cases += [['--queue-threads=2', *case] for case in cases[:3]]
  for case in cases:
    if os.path.exists(f'{folder}/stats'):
      os.unlink(f'{folder}/stats')
    disk_of(folder)
    with start(daemon, folder, *case) as process:
      front_end = connect(folder)
      front_end.start()
      shadow, moved = write_and_compare(front_end, 20)
      front_end.stop()
      front_end.close()
      told = figures(folder)
      equal(told['requests'], 20 * 20 + 1)
      equal(told['bytes_read'] + told['bytes_written'], moved)
      equal((told['errors'], told['ring_errors'], told['sessions']), (0, 0, 1))
      equal(told['iotlb']['misses'], 0)
      equal(process.end(), 0)
    if '--memory=4M' not in case:
      with open(f'{folder}/disk', 'rb') as file:
        true(file.read() == shadow, f'the file with {case}')


def direct_files_take_any_buffer(daemon, folder):
  """Data at odd addresses, on a file that wants aligned ones."""
  path = os.path.join(os.getcwd(), f'test-disk-{os.getpid()}')
  with open(path, 'wb') as file:
    file.truncate(DISK)
  aligned = fe.DATA
  try:
    try:
      os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
      raise Skip('no direct files in the current folder') from None
    with start(daemon, folder, f'--blk-file={path}', '--direct') as process:
      front_end = connect(folder)
      front_end.start()
      for fe.DATA in (aligned, aligned + 1, aligned + 511):
        size = struct.unpack_from('<I', front_end.config(), 20)[0]
        data = random.randbytes(16 * size)
        equal(front_end.request(fe.OUT, 8, data), (fe.OK, b''))
        equal(front_end.request(fe.IN, 8, room=16 * size), (fe.OK, data))
      front_end.close()
      equal(process.end(), 0)
  finally:
    fe.DATA = aligned
    os.unlink(path)


def forbid_io_uring():
  """In the process to be: io_uring_setup(2) fails with EPERM from now on."""
  load, equals, give, allow, refuse = 0x20, 0x15, 0x06, 0x7fff0000, 0x00050001
  steps = [(load, 0, 0, 0), (equals, 0, 1, 425), (give, 0, 0, refuse), (give, 0, 0, allow)]
  code = ctypes.create_string_buffer(b''.join(struct.pack('<HBBI', *step) for step in steps))
  program = struct.pack('<HxxxxxxQ', len(steps), ctypes.addressof(code))
  libc = ctypes.CDLL(None, use_errno=True)
  if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    raise OSError(ctypes.get_errno(), 'seccomp')


def without_io_uring_threads_do_the_work(daemon, folder):
  for engine in ('auto', 'io_uring'):
    path = os.path.join(os.getcwd(), f'test-disk-{os.getpid()}')
    with open(path, 'wb') as file:
      file.truncate(DISK)
    try:
      with start(daemon, folder, f'--blk-file={path}', f'--engine={engine}',
                 preexec_fn=forbid_io_uring) as process:
        if 'engine inline' in process.log():
          raise Skip('the current folder is in memory')
        true('warning: blk: io_uring is ' in process.log(), 'one line says why')
        true('engine threads' in process.log(), process.log())
        front_end = connect(folder)
        front_end.start()
        write_and_compare(front_end, 5)
        front_end.close()
        equal(process.end(), 0)
    finally:
      os.unlink(path)


def bad_requests_get_their_status(daemon, folder):
  with start(daemon, folder, '--memory=1M', '--serial=disk-1') as process:
    front_end = connect(folder)
    front_end.start()
    cases = [
        ((fe.IN, 2048, b'', 512), fe.IOERR),
        ((fe.IN, 2047, b'', 1024), fe.IOERR),
        ((fe.IN, 2047, b'', 512), fe.OK),
        ((fe.OUT, (1 << 64) - 1, bytes(512)), fe.IOERR),
        ((fe.OUT, 0, bytes(511)), fe.IOERR),
        ((fe.OUT, 0, bytes(512)), fe.OK),
        ((99, 0), fe.UNSUPP),
        ((11, 0, bytes(16)), fe.UNSUPP),
        ((fe.FLUSH,), fe.OK),
    ]
    for arguments, want in cases:
      equal((arguments[0], front_end.request(*arguments)[0]), (arguments[0], want))
    equal(front_end.request(fe.GET_ID, room=20), (fe.OK, b'disk-1' + bytes(14)))
    front_end.close()
    told = figures(folder)
    equal((told['errors'], told['unsupported'], told['refused_requests']), (6, 2, 0))
    true(until(lambda: ' 6 errors (2 unsupported),' in process.log()), process.log())


def a_read_only_disk_is_never_written(daemon, folder):
  with start(daemon, folder, f'--blk-file={disk_of(folder)}', '--read-only'):
    front_end = connect(folder)
    true(front_end.offered & 1 << 5, 'VIRTIO_BLK_F_RO')
    front_end.start()
    equal(front_end.request(fe.OUT, 0, b'x' * 512)[0], fe.IOERR)
    equal(front_end.request(fe.IN, 0, room=512), (fe.OK, bytes(512)))
    front_end.close()


def configuration_of_every_size_is_answered(daemon, folder):
  with start(daemon, folder, '--memory=1G', '--block-size=4096', '--num-queues=3'):
    front_end = connect(folder)
    equal(front_end.ask_u64(fe.GET_QUEUE_NUM), 3)
    whole = front_end.config(256)
    equal(len(whole), 256)
    equal(struct.unpack_from('<QIIHBBI', whole), (2 << 20, 0, 126, 0, 0, 0, 4096))
    equal(struct.unpack_from('<BBH', whole, 32), (1, 0, 3))
    equal(whole[60:], bytes(196))
    for size in (1, 8, 33, 60, 100):
      equal(front_end.config(size), whole[:size])
    front_end.close()


def the_cache_mode_can_be_set(daemon, folder):
  with start(daemon, folder, f'--blk-file={disk_of(folder)}'):
    front_end = connect(folder, fe.F_FLUSH | fe.F_CONFIG_WCE)
    true(front_end.offered & fe.F_CONFIG_WCE, 'VIRTIO_BLK_F_CONFIG_WCE')
    front_end.start()
    for mode in (0, 1, 0):
      equal(front_end.acked(fe.SET_CONFIG, struct.pack('<IIIB', 32, 1, 0, mode)), 0)
      equal(front_end.config()[32], mode)
      equal(front_end.request(fe.OUT, 0, bytes(4096))[0], fe.OK)
    true(front_end.acked(fe.SET_CONFIG, struct.pack('<IIIQ', 0, 8, 0, 1)), 'capacity is refused')
    front_end.close()


def front_ends_come_one_after_the_other(daemon, folder):
  with start(daemon, folder, '--memory=1M') as process:
    for number in range(1, 4):
      front_end = connect(folder)
      front_end.start()
      for _ in range(number):
        equal(front_end.request(fe.OUT, number, bytes([number]) * 512)[0], fe.OK)
      front_end.close()
      true(until(lambda: figures(folder)['sessions'] == number), 'the session is counted')
      told = figures(folder)
      equal((told['requests'], told['bytes_written']), (number, 512 * number))
    front_end = connect(folder)
    front_end.start()
    for number in range(1, 4):
      equal(front_end.request(fe.IN, number, room=512), (fe.OK, bytes([number]) * 512))
    os.unlink(f'{folder}/stats')
    process.signal(signal.SIGUSR1)
    told = figures(folder)
    equal((told['requests'], told['bytes_read'], told['sessions']), (3, 1536, 3))
    front_end.close()
    true(until(lambda: figures(folder)['sessions'] == 4), 'the last session is counted')
    os.unlink(f'{folder}/stats')
    process.signal(signal.SIGUSR1)
    told = figures(folder)
    equal((told['requests'], told['bytes_read'], told['sessions']), (3, 1536, 4))


def a_ring_may_stop_and_start(daemon, folder):
  with start(daemon, folder, '--memory=1M'):
    front_end = connect(folder)
    for number in range(1, 5):
      front_end.start()
      equal(front_end.request(fe.OUT, 0, bytes(512))[0], fe.OK)
      equal(front_end.stop(), number)
    front_end.close()


def io_under_way_is_finished_on_sigterm(daemon, folder):
  """What was begun is complete in the file, and ring and file agree."""
  for engine in ('auto', 'threads', 'io_uring'):
    path = disk_of(folder)
    with start(daemon, folder, f'--blk-file={path}', f'--engine={engine}') as process:
      front_end = connect(folder, 0)
      front_end.start()
      data = random.randbytes(32768)
      for slot in range(20):
        front_end.post(slot, fe.OUT, 64 * slot, data)
      front_end.notify()
      front_end.wait(1)
      equal(process.end(), 0)
      done = {0} | {slot for slot, _ in front_end.used()}
      front_end.close()
    with open(path, 'rb') as file:
      for slot in range(20):
        file.seek(32768 * slot)
        got = file.read(32768)
        if slot in done:
          true(got == data, f'slot {slot} is complete with {engine}')
        else:
          true(got in (data, bytes(32768)), f'slot {slot} is whole or absent with {engine}')


def thread_of(pid, name):
  for thread in os.listdir(f'/proc/{pid}/task'):
    with open(f'/proc/{pid}/task/{thread}/comm', encoding='utf-8') as file:
      if file.read().strip() == name:
        return int(thread)
  raise AssertionError(f'no thread {name}')


ATTACH, DETACH, WAIT_ALL = 16, 17, 0x40000000


def hold_queues(process):
  """The thread of the queues goes on no more, as if its disk never answered."""
  thread = thread_of(process.child.pid, 'queues-0')
  if ctypes.CDLL(None).ptrace(ATTACH, thread, None, None):
    raise Skip('no ptrace here')
  os.waitpid(thread, WAIT_ALL)
  return thread


def a_second_signal_ends_it_at_once(daemon, folder):
  with start(daemon, folder, '--memory=1M', '--queue-threads=1') as process:
    front_end = connect(folder)
    front_end.start()
    thread = hold_queues(process)
    process.signal(signal.SIGTERM)
    true(until(lambda: 'a second signal' in process.log()), 'the first signal is taken')
    time.sleep(0.1)
    true(process.child.poll() is None, 'it waits')
    process.signal(signal.SIGTERM)
    os.waitpid(thread, WAIT_ALL)
    equal(process.wait(), 1)
    true(not os.path.exists(f'{folder}/s'), 'the socket is removed')
    front_end.close()


def the_next_may_begin_while_one_ends(daemon, folder):
  """At the same path: who has yet to finish I/O gives it free, and does not take it away again,
  whatever inode the next one's socket has got."""
  with start(daemon, folder, '--memory=1M', '--queue-threads=1') as process:
    front_end = connect(folder)
    front_end.start()
    thread = hold_queues(process)
    process.signal(signal.SIGTERM)
    free = until(lambda: not os.path.exists(f'{folder}/s'))
    with start(daemon, folder, '--memory=1M', wait_for='serving' if free else '') as following:
      ctypes.CDLL(None).ptrace(DETACH, thread, None, None)
      true(free, 'the path is free')
      equal(process.wait(), 0)
      true(os.path.exists(f'{folder}/s'), 'the socket of the next one is there')
      connect(folder).close()
      equal(following.end(), 0)
    front_end.close()


def a_killed_front_end_is_forgotten(daemon, folder):
  """It goes away with requests under way; the next one finds a disk that works."""
  with start(daemon, folder, f'--blk-file={disk_of(folder)}') as process:
    for _ in range(10):
      front_end = connect(folder)
      front_end.start()
      for slot in range(20):
        front_end.post(slot, fe.OUT, 64 * slot, b'y' * 32768)
      front_end.notify()
      front_end.close()
    front_end = connect(folder)
    front_end.start()
    equal(front_end.request(fe.OUT, 0, b'z' * 512)[0], fe.OK)
    equal(front_end.request(fe.IN, 0, room=512), (fe.OK, b'z' * 512))
    front_end.close()
    equal(process.end(), 0)


def processor_seconds(pid):
  with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
    user, system = file.read().rpartition(')')[2].split()[11:13]
  return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def served_without_a_kick(front_end, seconds):
  """Whether a request is, of which nobody tells."""
  front_end.post(0, fe.OUT, 1, b'q' * 512)
  return until(front_end.used, seconds)


def rings_are_looked_at_for_as_long_as_is_said(daemon, folder):
  for threads in (0, 2):
    where = ['--memory=1M', f'--queue-threads={threads}']
    with start(daemon, folder, *where, '--poll-us=1000000') as process:
      front_end = connect(folder)
      front_end.start()
      equal(front_end.request(fe.OUT, 1, b'p' * 512)[0], fe.OK)
      for _ in range(20):
        true(served_without_a_kick(front_end, LIMIT), 'a request is found')
        equal(front_end.status(0), fe.OK)
      front_end.close()
      equal(process.end(), 0)
    equal(figures(folder)['kicks'], 1)
    with start(daemon, folder, *where, '--poll-us=0'):
      front_end = connect(folder)
      front_end.start()
      equal(front_end.request(fe.OUT, 1, b'p' * 512)[0], fe.OK)
      # The look that follows a request may be late.
      time.sleep(0.1)
      true(not served_without_a_kick(front_end, 0.2), 'nobody looks')
      front_end.notify()
      front_end.wait()
      front_end.close()


def a_disk_that_is_idle_sleeps(daemon, folder):
  for options in ([], ['--poll-us=0'], ['--poll-us=1000'], ['--queue-threads=2']):
    with start(daemon, folder, '--memory=1M', *options) as process:
      front_end = connect(folder)
      front_end.start()
      for _ in range(10):
        equal(front_end.request(fe.OUT, 1, b'p' * 512)[0], fe.OK)
      before = processor_seconds(process.child.pid)
      time.sleep(0.5)
      used = processor_seconds(process.child.pid) - before
      true(used < 0.1, f'{options}: {used} s of processor time')
      front_end.close()


if __name__ == '__main__':
  random.seed(1)
  main([
      every_engine_keeps_what_is_written,
      without_io_uring_threads_do_the_work,
      direct_files_take_any_buffer,
      bad_requests_get_their_status,
      a_read_only_disk_is_never_written,
      configuration_of_every_size_is_answered,
      the_cache_mode_can_be_set,
      front_ends_come_one_after_the_other,
      a_ring_may_stop_and_start,
      io_under_way_is_finished_on_sigterm,
      a_second_signal_ends_it_at_once,
      the_next_may_begin_while_one_ends,
      a_killed_front_end_is_forgotten,
      rings_are_looked_at_for_as_long_as_is_said,
      a_disk_that_is_idle_sleeps,
  ])
