#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu-blk in daily use: users and groups, sockets that were passed, locks, disks that grow,
limits, a log that nobody can flood.

    tests/blackbox/test_everyday.py --daemon build/daemons/vhu-blk
"""

import fcntl
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
import frontend as fe
from disk import DISK, connect, disk_of, figures, start
from harness import LIMIT, Daemon, Skip, equal, main, true, until


def serves(folder):
  """A front-end is served, from its first message to a block of data."""
  front_end = connect(folder)
  front_end.start()
  equal(front_end.request(fe.OUT, 1, b'd' * 512)[0], fe.OK)
  equal(front_end.request(fe.IN, 1, room=512), (fe.OK, b'd' * 512))
  front_end.close()


def the_socket_has_its_mode(daemon, folder):
  for option, mask, want in ((['--socket-mode=0660'], 0o077, 0o660), ([], 0o022, 0o755),
                             (['--socket-mode=0600'], 0, 0o600), ([], 0o077, 0o700),
                             (['--socket-mode=777'], 0o777, 0o777)):
    with start(daemon, folder, '--memory=1M', *option,
               preexec_fn=lambda mask=mask: os.umask(mask)):
      equal(stat.S_IMODE(os.stat(f'{folder}/s').st_mode), want)


def the_socket_has_its_group(daemon, folder):
  group = 12345 if os.geteuid() == 0 else (os.getgroups() or [os.getegid()])[-1]
  with start(daemon, folder, '--memory=1M', f'--socket-group={group}'):
    found = os.stat(f'{folder}/s')
    equal((found.st_gid, stat.S_IMODE(found.st_mode)), (group, 0o660))
    serves(folder)
  with start(daemon, folder, '--memory=1M', f'--socket-group={group}', '--socket-mode=0620'):
    found = os.stat(f'{folder}/s')
    equal((found.st_gid, stat.S_IMODE(found.st_mode)), (group, 0o620))


def any_user_can_run_it(daemon, folder):
  if os.geteuid() != 0:
    raise Skip('only root can become somebody else; all other tests run as this user')
  nobody = pwd.getpwnam('nobody')
  path = disk_of(folder)
  for name in (folder, path):
    os.chown(name, nobody.pw_uid, nobody.pw_gid)
  try:
    process = start(daemon, folder, f'--blk-file={path}', user=nobody.pw_uid,
                    group=nobody.pw_gid, extra_groups=[])
  except PermissionError:
    raise Skip('others may not run this program where it lies') from None
  with process:
    serves(folder)
    equal(figures(folder)['requests'], 2)
    equal(process.end(), 0)
  true(not os.path.exists(f'{folder}/s'), 'the socket is removed')


def as_service(fd, count=1):
  """The beginning of a command line, and what else it takes, by which a service manager passes
  fd as its number 3."""
  shell = f'export LISTEN_PID=$$ LISTEN_FDS={count}; exec "$@"'
  return ['sh', '-c', shell, 'sh'], {'pass_fds': [3], 'preexec_fn': lambda: os.dup2(fd, 3)}


def a_socket_of_the_service_manager_is_served(daemon, folder):
  with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(f'{folder}/s')
    listener.listen()
    command, more = as_service(listener.fileno())
    with Daemon(*command, daemon, '--memory=1M', **more) as process:
      for _ in range(3):
        serves(folder)
      equal(process.end(), 0)
  true(os.path.exists(f'{folder}/s'), 'the socket is still there')


def run(*command, **more):
  return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT,
                        stdin=subprocess.DEVNULL, check=False, **more)


def what_a_service_manager_must_not_pass(daemon, folder):
  with socket.socket(socket.AF_UNIX) as listener:
    command, more = as_service(listener.fileno(), 2)
    done = run(*command, daemon, '--memory=1M', **more)
    equal(done.returncode, 2)
    true('LISTEN_FDS=2' in done.stderr, done.stderr)
    command, more = as_service(listener.fileno())
    done = run(*command, daemon, '--memory=1M', f'--socket-path={folder}/s', **more)
    equal(done.returncode, 2)
    true('service manager' in done.stderr, done.stderr)
  # Meant for another process.
  done = run(daemon, '--memory=1M', env=dict(os.environ, LISTEN_PID='1', LISTEN_FDS='1'))
  equal(done.returncode, 2)
  true('neither was given' in done.stderr, done.stderr)


def the_units_are_sound(daemon, folder):
  if not shutil.which('systemd-analyze'):
    raise Skip('this host has no systemd-analyze')
  units = {name: os.path.join(os.path.dirname(daemon), name)
           for name in ('vhu-blk@.service', 'vhu-blk@.socket')}
  for name, path in units.items():
    with open(path, encoding='utf-8') as file:
      text = file.read()
    true('ExecStart=/' in text or name.endswith('.socket'), 'it names the program')
    text = re.sub(r'^ExecStart=\S+', f'ExecStart={daemon}', text, flags=re.MULTILINE)
    with open(os.path.join(folder, name.replace('@', '@test')), 'w', encoding='utf-8') as file:
      file.write(text)
  done = run('systemd-analyze', 'verify', '--man=no', f'{folder}/vhu-blk@test.service',
             f'{folder}/vhu-blk@test.socket')
  ours = [line for line in (done.stdout + done.stderr).splitlines() if 'vhu-blk' in line]
  equal(ours, [])


def numbers_of(process):
  """Of its open files: what each is."""
  where = f'/proc/{process.child.pid}/fd'
  return {int(name): os.readlink(f'{where}/{name}') for name in os.listdir(where)}


def what_was_inherited_is_closed(daemon, folder):
  for option, is_open in (([], False), (['--no-sandbox'], True)):
    ours, theirs = os.pipe()
    with start(daemon, folder, f'--blk-file={disk_of(folder)}', *option,
               pass_fds=[theirs]) as process:
      os.close(theirs)
      equal(theirs in numbers_of(process) and 'pipe' in numbers_of(process)[theirs], is_open)
      serves(folder)
    os.close(ours)


def lock(fd, byte, kind=fcntl.F_RDLCK):
  """An open file description lock of one byte; raises OSError where another is in the way."""
  fcntl.fcntl(fd, fcntl.F_OFD_SETLK,
              struct.pack('hhqqixxxx', kind, os.SEEK_SET, byte, 1, 0))


def a_file_in_use_is_not_served(daemon, folder):
  """Another program writes to it, by QEMU's rules; when it ends, the disk can be had."""
  path = disk_of(folder)
  with start(daemon, folder, f'--blk-file={path}') as process:
    other = os.open(path, os.O_RDWR)
    lock(other, 101)
    front_end = connect(folder)
    true(front_end.try_start() != 0, 'the start of the ring is refused')
    said = process.log()
    true(f'{path} is in use by another program' in said, said)
    front_end.close()
    os.close(other)
    serves(folder)


def is_locked(path, byte):
  fd = os.open(path, os.O_RDWR)
  try:
    lock(fd, byte, fcntl.F_WRLCK)
    return False
  except BlockingIOError:
    return True
  finally:
    os.close(fd)


def a_disk_is_locked_while_its_rings_run(daemon, folder):
  """The order of a migration: it stops here, then it starts there."""
  path = disk_of(folder)
  os.mkdir(f'{folder}/there')
  with start(daemon, folder, f'--blk-file={path}', '--queue-threads=2'), \
       start(daemon, f'{folder}/there', f'--blk-file={path}'):
    here, there = connect(folder), connect(f'{folder}/there')
    true(not is_locked(path, 101), 'nothing is locked before a ring runs')
    here.start()
    true(is_locked(path, 101) and is_locked(path, 201), 'it is while one runs')
    true(there.try_start() != 0, 'nobody else may start')
    here.start(1)
    here.stop(0)
    true(is_locked(path, 101), 'one still runs')
    here.stop(1)
    true(not is_locked(path, 101), 'none runs')
    there.close()
    there = connect(f'{folder}/there')
    there.start()
    true(here.try_start() != 0, 'now it is there')
    there.close()
    true(until(lambda: not is_locked(path, 101)), 'a front-end that goes lets go')
    here.close()


def locking_can_be_switched_off(daemon, folder):
  path = disk_of(folder)
  with start(daemon, folder, f'--blk-file={path}', '--locking=off'):
    other = os.open(path, os.O_RDWR)
    lock(other, 101)
    serves(folder)
    os.close(other)


def qemu_and_we_respect_each_other(daemon, folder):
  if not shutil.which('qemu-img') or not shutil.which('qemu-io'):
    raise Skip('no qemu-img and qemu-io: they are in the package qemu-utils')
  path = disk_of(folder)
  write = ['qemu-io', '-f', 'raw', '-c', 'write 0 4k', path]
  with start(daemon, folder, f'--blk-file={path}'):
    front_end = connect(folder)
    equal(run(*write).returncode, 0)
    front_end.start()
    done = run(*write)
    true(done.returncode != 0 and 'lock' in done.stderr, done.stderr)
    true(run('qemu-img', 'resize', '-f', 'raw', path, '8M').returncode != 0, 'nor resize')
    front_end.stop()
    equal(run(*write).returncode, 0)
    with subprocess.Popen(['qemu-io', '-f', 'raw', path], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as other:
      true(until(lambda: is_locked(path, 101)), 'qemu-io holds it')
      true(front_end.try_start() != 0, 'the ring does not start')
      other.stdin.close()
      equal(other.wait(LIMIT), 0)
    front_end.start()
    front_end.close()


def a_disk_that_grows_is_told_to_the_driver(daemon, folder):
  path = disk_of(folder)
  with start(daemon, folder, f'--blk-file={path}') as process:
    front_end = connect(folder)
    back = front_end.open_back()
    front_end.start()
    equal(front_end.request(fe.OUT, DISK // 512, bytes(512))[0], fe.IOERR)
    for size in (2 * DISK, 3 * DISK + 100):
      os.truncate(path, size)
      process.signal(signal.SIGHUP)
      equal(struct.unpack('<III', back.recv(12)), (fe.CONFIG_CHANGE_MSG, 1, 0))
      equal(struct.unpack_from('<Q', front_end.config())[0], size // 512)
      equal(front_end.request(fe.OUT, size // 512 - 1, b'e' * 512)[0], fe.OK)
      equal(front_end.request(fe.OUT, size // 512, bytes(512))[0], fe.IOERR)
    process.signal(signal.SIGHUP)
    true(until(lambda: 'has not grown' in process.log()), 'no news is told to the log')
    os.truncate(path, DISK)
    process.signal(signal.SIGHUP)
    true(until(lambda: f'has shrunk to {DISK} bytes' in process.log()), 'it is told')
    equal(struct.unpack_from('<Q', front_end.config())[0], (3 * DISK) // 512)
    equal(front_end.request(fe.IN, DISK // 512, room=512)[0], fe.IOERR)
    back.setblocking(False)
    try:
      raise AssertionError(f'{back.recv(100)} on the back-channel')
    except BlockingIOError:
      pass
    back.close()
    front_end.close()
    equal(process.end(), 0)


def a_disk_that_grows_alone_is_found_by_the_next_front_end(daemon, folder):
  path = disk_of(folder)
  with start(daemon, folder, f'--blk-file={path}') as process:
    os.truncate(path, 2 * DISK)
    process.signal(signal.SIGHUP)
    true(until(lambda: 'has grown to 8 MiB' in process.log()), 'it is told')
    front_end = connect(folder)
    equal(struct.unpack_from('<Q', front_end.config())[0], 2 * DISK // 512)
    front_end.close()


def memory_does_not_grow(daemon, folder):
  with start(daemon, folder, '--memory=1M') as process:
    process.signal(signal.SIGHUP)
    true(until(lambda: 'memory has not grown' in process.log()), 'it is told')
    serves(folder)


def nofile(soft, hard):
  return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def the_limit_of_open_files_is_met(daemon, folder):
  with start(daemon, folder, '--memory=1M', preexec_fn=nofile(64, 4096)) as process:
    with open(f'/proc/{process.child.pid}/limits', encoding='ascii') as file:
      line = next(line for line in file if line.startswith('Max open files'))
    true(int(line.split()[3]) >= 64 * 4, line)
    true('open files' not in process.log(), process.log())
    serves(folder)
  with start(daemon, folder, '--memory=1M', preexec_fn=nofile(64, 64)) as process:
    true('64 open files are allowed and 64 queues may need' in process.log(), process.log())
    serves(folder)
  with start(daemon, folder, '--memory=1M', '--num-queues=2',
             preexec_fn=nofile(64, 64)) as process:
    true('open files' not in process.log(), process.log())


def no_memory_may_be_locked(daemon, folder):
  """Kernels before 5.12 count a ring's memory; then threads do the work."""
  limit = lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
  with start(daemon, folder, f'--blk-file={disk_of(folder)}', '--engine=io_uring',
             preexec_fn=limit) as process:
    true('engine io_uring' in process.log() or 'io_uring ' in process.log(), process.log())
    serves(folder)


def said_and_counted(process):
  """Sessions whose end was told or is in a number of suppressed lines."""
  lines = process.log().splitlines()
  return (sum('session ended' in line for line in lines)
          + sum(int(line.split()[-4]) for line in lines
                if line.endswith('more lines suppressed') and ': error: ' in line))


def nobody_floods_the_log(daemon, folder):
  rounds = 300
  with start(daemon, folder, '--memory=1M') as process:
    for _ in range(rounds):
      with socket.socket(socket.AF_UNIX) as front_end:
        front_end.connect(f'{folder}/s')
        front_end.send(b'nonsense' * 4)
        front_end.settimeout(LIMIT)
        try:
          equal(front_end.recv(100), b'')
        except ConnectionResetError:
          pass
    true(until(lambda: said_and_counted(process) == rounds, 5), 'the rest is counted in time')
    said = process.log().count('session ended')
    true(said < rounds / 2, f'{said} lines are few')
    serves(folder)
    equal(process.end(), 0)


def lines_name_session_and_queue(daemon, folder):
  with start(daemon, folder, '--memory=1M') as process:
    for number in (1, 2):
      front_end = connect(folder)
      front_end.start(3)
      front_end.stop(3)
      front_end.close()
      true(until(lambda n=number: f'session {n} ended' in process.log()), 'the end is told')
      true(f'info: blk/s{number}: a front-end has connected' in process.log(), process.log())
      true(f'info: blk/s{number}/q3: started' in process.log(), process.log())


if __name__ == '__main__':
  main([
      the_socket_has_its_mode,
      the_socket_has_its_group,
      any_user_can_run_it,
      a_socket_of_the_service_manager_is_served,
      what_a_service_manager_must_not_pass,
      the_units_are_sound,
      what_was_inherited_is_closed,
      a_file_in_use_is_not_served,
      a_disk_is_locked_while_its_rings_run,
      locking_can_be_switched_off,
      qemu_and_we_respect_each_other,
      a_disk_that_grows_is_told_to_the_driver,
      a_disk_that_grows_alone_is_found_by_the_next_front_end,
      memory_does_not_grow,
      the_limit_of_open_files_is_met,
      no_memory_may_be_locked,
      nobody_floods_the_log,
      lines_name_session_and_queue,
  ])
