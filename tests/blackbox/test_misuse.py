#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu-blk where it should not be: with standard files closed or full, with sockets and files of
the wrong kind, with nearly no limits, under a storm of signals. It says what, where and what to do,
and leaves nothing behind.

    tests/blackbox/test_misuse.py --daemon build/daemons/vhu-blk
"""

import itertools
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import frontend as fe
from disk import connect, disk_of, figures, start
from harness import LIMIT, Daemon, equal, main, true, until
from test_cli import FAULT, FINE, USAGE, complains, file_of, path_in, run


def closing(numbers):
  def close():
    for number in numbers:
      os.close(number)
  return close


def connect_soon(folder):
  """To a daemon that can't say when it serves."""
  end = time.monotonic() + LIMIT
  while True:
    try:
      return connect(folder)
    except (ConnectionRefusedError, FileNotFoundError):
      true(time.monotonic() < end, 'it serves')
      time.sleep(0.01)


def what_is_said_is_never_written_to_the_disk(daemon, folder):
  """Whatever is closed of standard input, output and error."""
  path = disk_of(folder)
  for count in (1, 2, 3):
    for numbers in itertools.combinations(range(3), count):
      child = subprocess.Popen([daemon, f'--socket-path={folder}/s', f'--blk-file={path}',
                                '--log-level=debug', f'--stats-json={folder}/stats'],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=closing(numbers))
      try:
        front_end = connect_soon(folder)
        front_end.start()
        equal(front_end.request(fe.OUT, 0, bytes(512))[0], fe.OK)
        front_end.close()
        equal(figures(folder)['sessions'], 1)
        for number in numbers:
          equal(os.readlink(f'/proc/{child.pid}/fd/{number}'), '/dev/null')
        child.terminate()
        equal(child.wait(LIMIT), FINE)
      finally:
        child.kill()
        child.wait()
      os.unlink(f'{folder}/stats')
      with open(path, 'rb') as file:
        true(not any(file.read()), f'the disk is as it was, with {numbers} closed')


def output_that_is_not_taken_is_an_error(daemon, folder):
  for option in ('--help', '--usage', '--version', '--print-capabilities'):
    with open('/dev/full', 'wb') as full:
      done = subprocess.run([daemon, option], stdin=subprocess.DEVNULL, stdout=full, check=False,
                            stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    equal(done.returncode, FAULT)
    true('standard output can\'t be written: No space left' in done.stderr, done.stderr)
  done = subprocess.run([daemon, '--print-capabilities'], stdin=subprocess.DEVNULL, check=False,
                        stderr=subprocess.PIPE, timeout=LIMIT, preexec_fn=closing([1]))
  equal(done.returncode, FAULT)


def a_log_that_is_full_ends_nothing(daemon, folder):
  with open('/dev/full', 'wb') as full:
    child = subprocess.Popen([daemon, f'--socket-path={folder}/s', '--memory=1M'],
                             stdin=subprocess.DEVNULL, stdout=full, stderr=full)
  try:
    front_end = connect_soon(folder)
    front_end.start()
    equal(front_end.request(fe.IN, 0, room=512), (fe.OK, bytes(512)))
    front_end.close()
    child.terminate()
    equal(child.wait(LIMIT), FINE)
  finally:
    child.kill()
    child.wait()


def statistics_replace_nothing_but_a_file(daemon, folder):
  where = f'--socket-path={path_in(folder, "s")}'
  disk = disk_of(folder)
  os.mkfifo(path_in(folder, 'pipe'))
  os.mkdir(path_in(folder, 'there'))
  os.symlink('disk', path_in(folder, 'link'))
  cases = (('pipe', 'no regular file'), ('there', 'no regular file'), ('disk', 'the disk'),
           ('link', 'the disk'), ('disk/stats', 'Not a directory'), ('no/stats', 'No such file'))
  for name, why in cases:
    complains(run(daemon, where, f'--blk-file={disk}', f'--stats-json={folder}/{name}'), FAULT,
              f'--stats-json={folder}/{name}', why, 'another path')
  equal(sorted(os.listdir(folder)), ['disk', 'link', 'pipe', 'there'])
  true(stat.S_ISFIFO(os.stat(path_in(folder, 'pipe')).st_mode), 'the pipe is one still')


def sockets_of_every_kind():
  """(what, socket, words of the complaint)."""
  kinds = ((socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_SEQPACKET),
           (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM))
  for family, kind in kinds:
    yield socket.socket(family, kind), 'another kind of socket'
  yield socket.socket(socket.AF_UNIX), 'neither listens nor is connected'


def what_is_given_as_a_socket_must_be_one(daemon, folder):
  for sock, why in sockets_of_every_kind():
    with sock:
      fd = sock.fileno()
      complains(run(daemon, f'--fd={fd}', '--memory=1M', pass_fds=[fd]), FAULT, f'--fd={fd}', why,
                'give a Unix stream socket')
  with open(disk_of(folder), 'rb') as file:
    fd = file.fileno()
    complains(run(daemon, f'--fd={fd}', '--memory=1M', pass_fds=[fd]), FAULT, f'--fd={fd}',
              'no socket', 'give a Unix stream socket')
  ours, theirs = socket.socketpair()
  ours.close()
  with theirs:
    fd = theirs.fileno()
    equal(run(daemon, f'--fd={fd}', '--memory=1M', pass_fds=[fd]).returncode, FINE)


def activated(daemon, variables, *arguments):
  """By a service manager that is wrong; $$ is the process."""
  return run('sh', '-c', f'export {variables}; exec "$0" "$@"', daemon, '--memory=1M', *arguments)


def a_service_manager_may_be_wrong(daemon, folder):
  cases = (
    ('LISTEN_PID=1 LISTEN_FDS=1', USAGE, 'neither was given', 'another process'),
    ('LISTEN_FDS=1', USAGE, 'neither was given', 'another process'),
    ('LISTEN_PID=$$ LISTEN_FDS=0', USAGE, 'neither was given'),
    ('LISTEN_PID=$$ LISTEN_FDS=99999999999', USAGE, 'LISTEN_FDS=99999999999', 'one socket'),
    ('LISTEN_PID=$$ LISTEN_FDS=-1', USAGE, 'LISTEN_FDS=-1', 'one socket'),
    ('LISTEN_PID=$$ LISTEN_FDS=1x', USAGE, 'LISTEN_FDS=1x', 'one socket'),
    ('LISTEN_PID=$$ LISTEN_FDS=1', FAULT, 'LISTEN_FDS=3', 'Bad file descriptor'),
  )
  for variables, code, *words in cases:
    complains(activated(daemon, variables), code, *words)


def files_of_the_wrong_kind_are_told(daemon, folder):
  where = f'--socket-path={path_in(folder, "s")}'
  with socket.socket(socket.AF_UNIX) as sock:
    sock.bind(path_in(folder, 'sock'))
  os.mkfifo(path_in(folder, 'pipe'))
  os.symlink('loop', path_in(folder, 'loop'))
  file_of(folder, 'small', 511)
  before = sorted(os.listdir(folder))
  cases = (
    ([where, f'--blk-file={folder}/sock'], 'regular file'),
    ([where, f'--blk-file={folder}/pipe'], 'regular file'),
    ([where, f'--blk-file={folder}/loop'], 'symbolic links', 'existing file'),
    ([where, f'--blk-file={folder}/small/x'], 'Not a directory', 'existing file'),
    ([where, f'--blk-file={"x" * 5000}'], 'File name too long', 'existing file'),
    ([where, f'--blk-file={folder}/small'], f'{folder}/small', '511 bytes', 'larger'),
    ([where, '--memory=511'], '--memory', '511 bytes', 'larger'),
    ([where, '--memory=8388607T'], '--memory=', 'ask for less'),
    ([f'--socket-path={folder}/small/s', '--memory=1M'], 'Not a directory', 'folder'),
    ([f'--socket-path={folder}', '--memory=1M'], 'is no socket', 'another path'),
    ([f'--socket-path={folder}/loop', '--memory=1M'], 'is no socket', 'another path'),
    (['--socket-path=/proc/s', '--memory=1M'], '/proc/s', 'another path'),
  )
  for arguments, *words in cases:
    complains(run(daemon, *arguments), FAULT, *words)
    equal(sorted(os.listdir(folder)), before)


def with_few_files_it_serves_or_says_what_to_do(daemon, folder):
  served = 0
  for limit in range(4, 20, 3):
    with Daemon(daemon, f'--socket-path={folder}/s', '--memory=1M', '--num-queues=1',
                wait_for='', preexec_fn=lambda limit=limit: resource.setrlimit(
                    resource.RLIMIT_NOFILE, (limit, limit))) as process:
      true(until(lambda: 'serving' in process.log() or process.child.poll() is not None),
           'it begins or ends')
      code = process.child.poll()
      if code is None:
        served += 1
        equal(process.end(), FINE)
      else:
        said = process.log()
        # With next to nothing not even the loader can say more.
        true(code == FAULT and 'raise the limit' in said or 'shared libraries' in said, said)
      true(not os.path.exists(f'{folder}/s'), 'no socket is left')
  true(served >= 2, 'with some it serves')


HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE, signal.SIGCHLD,
            signal.SIGWINCH, signal.SIGURG, signal.SIGXFSZ)


def storm(process):
  for number in HARMLESS:
    process.signal(number)
  process.signal(signal.SIGSTOP)
  process.signal(signal.SIGCONT)


def silent(folder):
  sock = socket.socket(socket.AF_UNIX)
  sock.connect(f'{folder}/s')
  return sock


def half_a_header(folder):
  sock = silent(folder)
  sock.send(b'\1\0\0\0\1')
  return sock


def running(folder):
  front_end = connect(folder)
  front_end.start()
  for slot in range(8):
    front_end.post(slot, fe.IN, 8 * slot, room=4096)
  front_end.notify()
  return front_end


def signals_are_heeded_in_every_state(daemon, folder):
  for state, number in itertools.product((None, silent, half_a_header, connect, running),
                                         (signal.SIGTERM, signal.SIGINT)):
    with start(daemon, folder, f'--blk-file={disk_of(folder)}', '--engine=threads') as process:
      front_end = state and state(folder)
      storm(process)
      true(until(lambda: 'has not grown' in process.log()), 'it goes on')
      true(until(lambda: os.path.exists(f'{folder}/stats')), 'it goes on')
      process.signal(number)
      equal(process.wait(), FINE)
      if front_end:
        front_end.close()
    os.unlink(f'{folder}/stats')
    equal(os.listdir(folder), ['disk'])


def processor_seconds(pid):
  with open(f'/proc/{pid}/stat', encoding='ascii') as file:
    words = file.read().rsplit(')', 1)[1].split()
  return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')


def of_many_that_start_at_once_one_serves(daemon, folder):
  """Where nothing lies, and where a dead one has left its socket."""
  for number in range(4):
    children = [subprocess.Popen([daemon, f'--socket-path={folder}/s', '--memory=1M'],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for _ in range(5)]
    try:
      true(until(lambda: sum(child.poll() is None for child in children) <= 1), 'all but one end')
      first = next(child for child in children if child.poll() is None)
      connect_soon(folder).close()
      if number % 2:
        first.kill()
      else:
        first.terminate()
      first.wait(LIMIT)
      equal(sorted(child.returncode for child in children if child is not first), [FAULT] * 4)
      equal(os.path.exists(f'{folder}/s'), bool(number % 2))
    finally:
      for child in children:
        child.kill()
        child.wait()


def a_socket_that_was_shut_down_costs_nothing(daemon, folder):
  with socket.socket(socket.AF_UNIX) as sock:
    sock.bind(path_in(folder, 's'))
    sock.listen()
    fd = sock.fileno()
    with Daemon(daemon, f'--fd={fd}', '--memory=1M', pass_fds=[fd]) as process:
      sock.shutdown(socket.SHUT_RDWR)
      true(until(lambda: 'no front-end can be accepted' in process.log()), process.log())
      before = processor_seconds(process.child.pid)
      time.sleep(0.4)
      true(processor_seconds(process.child.pid) - before < 0.1, 'it sleeps')
      equal(process.log().count('can be accepted'), 1)
      equal(process.end(), FINE)


if __name__ == '__main__':
  main([
      what_is_said_is_never_written_to_the_disk,
      output_that_is_not_taken_is_an_error,
      a_log_that_is_full_ends_nothing,
      statistics_replace_nothing_but_a_file,
      what_is_given_as_a_socket_must_be_one,
      a_service_manager_may_be_wrong,
      files_of_the_wrong_kind_are_told,
      with_few_files_it_serves_or_says_what_to_do,
      signals_are_heeded_in_every_state,
      of_many_that_start_at_once_one_serves,
      a_socket_that_was_shut_down_costs_nothing,
  ])
