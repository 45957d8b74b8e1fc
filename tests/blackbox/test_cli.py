#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command line of vhu-blk: what it accepts, what it says, how it ends.

    tests/blackbox/test_cli.py --daemon build/daemons/vhu-blk
"""

import json
import os
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
from harness import LIMIT, Daemon, equal, main, true, until

FINE, FAULT, USAGE = 0, 1, 2


def run(daemon, *arguments, **more):
  return subprocess.run([daemon, *arguments], capture_output=True, text=True, timeout=LIMIT,
                        stdin=subprocess.DEVNULL, **more)


def path_in(folder, name):
  return os.path.join(folder, name)


def file_of(folder, name, size):
  path = path_in(folder, name)
  with open(path, 'wb') as file:
    file.truncate(size)
  return path


def complains(done, code, *words):
  """One line that names the program and all of the words; nothing on standard output."""
  equal(done.returncode, code)
  equal(done.stdout, '')
  complaints = [line for line in done.stderr.splitlines()
                if not line.startswith(('vhu-blk: info:', 'vhu-blk: warning:'))]
  equal(len(complaints), 1)
  true(complaints[0].startswith('vhu-blk: '), complaints[0])
  true(';' in complaints[0] or code == FAULT, f'a remedy in {complaints[0]}')
  for word in words:
    true(word in complaints[0], f'"{word}" in {complaints[0]}')


def capabilities_are_printed_and_nothing_else(daemon, folder):
  for more in ([], ['--nonsense'], ['--socket-path=/nonexistent/x', 'word', '--memory=']):
    done = run(daemon, *more, '--print-capabilities')
    equal(done.returncode, FINE)
    equal(done.stderr, '')
    equal(json.loads(done.stdout), {'type': 'block', 'features': ['read-only', 'blk-file']})


def help_has_examples(daemon, folder):
  done = run(daemon, '--help')
  equal(done.returncode, FINE)
  true('vhu-blk --socket-path=' in done.stdout, 'an example in the help')
  equal(done.stderr, '')


def version_is_told(daemon, folder):
  done = run(daemon, '--version')
  equal(done.returncode, FINE)
  equal(done.stdout.split()[0], 'vhu-blk')
  true(done.stdout.split()[1][0].isdigit(), done.stdout)


def senseless_command_lines_are_refused(daemon, folder):
  good = [f'--socket-path={path_in(folder, "s")}', '--memory=1M']
  cases = [
      ([], 'neither was given'),
      (['--memory=1M'], '--socket-path', 'neither'),
      (good[:1], '--blk-file', 'neither'),
      (good + ['--fd=3'], 'both'),
      (good + ['--blk-file=x'], 'both'),
      (good + ['--nonsense'], '--nonsense', 'no such option'),
      (good + ['-x'], '-x', 'no such option'),
      (good + ['word'], 'word', 'not an option'),
      (good + ['--serial'], '--serial', 'missing'),
      (good + ['--read-only=1'], '--read-only', 'no value'),
      (good + ['--direct'], '--direct', 'leave it out'),
      (good + ['--report-access-failures=1'], '--report-access-failures', 'no value'),
      (good + ['--num-queues=0'], '--num-queues=0', '1 to 64'),
      (good + ['--num-queues=65'], '65'),
      (good + ['--num-queues=1x'], '1x'),
      (good + ['--num-queues=-1'], '-1'),
      (good + ['--num-queues='], '--num-queues='),
      (good + ['--num-queues=99999999999999999999'], '1 to 64'),
      (good + ['--block-size=256'], '256'),
      (good + ['--block-size=1000'], 'power of two'),
      (good + ['--block-size=8192'], '8192'),
      (good + ['--serial=123456789012345678901'], '20 bytes'),
      (good + ['--engine=fast'], 'fast', 'io_uring'),
      (good + ['--log-level=loud'], 'loud', 'debug'),
      (good + ['--locking=on'], '--locking=on', 'auto, off'),
      (good + ['--socket-mode=888'], '--socket-mode=888', 'octal'),
      (good + ['--socket-mode=1777'], '1777'),
      (good + ['--socket-mode=-1'], '--socket-mode=-1'),
      (good + ['--socket-mode='], '--socket-mode='),
      (good + ['--socket-group='], '--socket-group', 'empty'),
      (['--fd=3', '--memory=1M', '--socket-mode=0600'], '--socket-mode', '--socket-path'),
      (['--fd=3', '--memory=1M', '--socket-group=root'], '--socket-group', '--socket-path'),
      (good + ['--iotlb-entries=0'], '--iotlb-entries=0'),
      (good + ['--queue-threads=65'], '--queue-threads=65'),
      (good + ['--poll-us=1000001'], '--poll-us=1000001', '1000000'),
      (good + ['--poll-us=x'], '--poll-us=x'),
      (good[:1] + ['--memory=0'], '--memory=0'),
      (good[:1] + ['--memory=lots'], '--memory=lots'),
      (good[:1] + ['--memory=1MM'], '--memory=1MM'),
      (good[:1] + ['--memory=99999999T'], '--memory=99999999T'),
      (['--socket-path=', '--memory=1M'], '--socket-path', 'empty'),
      (['--fd=x', '--memory=1M'], '--fd=x'),
      (['--fd=-1', '--memory=1M'], '--fd=-1'),
  ]
  for arguments, *words in cases:
    complains(run(daemon, *arguments), USAGE, *words)
    equal(os.listdir(folder), [])


def faults_at_start_are_told(daemon, folder):
  where = f'--socket-path={path_in(folder, "s")}'
  unreadable = file_of(folder, 'plain', 1 << 20)
  cases = [
      ([where, '--blk-file=/nonexistent/disk'], '/nonexistent/disk', 'truncate'),
      ([where, f'--blk-file={folder}'], folder, 'regular file'),
      ([where, '--blk-file=/dev/null'], '/dev/null', 'neither'),
      ([where, f'--blk-file={file_of(folder, "empty", 0)}'], 'empty'),
      ([where, f'--blk-file={file_of(folder, "small", 511)}'], '511 bytes'),
      ([where, f'--blk-file={file_of(folder, "less", 4095)}', '--block-size=4096'], '4095'),
      ([where, '--memory=1M', '--stats-json=/nonexistent/stats'], '--stats-json'),
      (['--socket-path=/nonexistent/s', '--memory=1M'], '/nonexistent/s'),
      ([f'--socket-path={folder}/{"x" * 108}', '--memory=1M'], '107'),
      ([f'--socket-path={unreadable}', '--memory=1M'], 'no socket'),
      ([where, '--memory=1M', '--socket-group=no-such-group'], 'no-such-group', 'no such group'),
      (['--fd=77', '--memory=1M'], '--fd=77'),
      (['--fd=0', '--memory=1M'], '--fd=0', 'socket'),
  ]
  for arguments, *words in cases:
    complains(run(daemon, *arguments), FAULT, *words)
    true(not os.path.exists(path_in(folder, 's')), 'no socket is left')
  true(os.path.isfile(unreadable), 'what was no socket is still there')


def a_file_without_permission_is_told(daemon, folder):
  if os.geteuid() == 0:
    # Root may write anything but where nobody may.
    done = run(daemon, f'--socket-path={path_in(folder, "s")}', '--blk-file=/proc/version')
    equal(done.returncode, FAULT)
    return
  path = file_of(folder, 'disk', 1 << 20)
  os.chmod(path, 0o400)
  complains(run(daemon, f'--socket-path={path_in(folder, "s")}', f'--blk-file={path}'), FAULT,
            '--read-only')


def odd_bytes_at_the_end_are_told(daemon, folder):
  arguments = [f'--socket-path={path_in(folder, "s")}',
               f'--blk-file={file_of(folder, "disk", (1 << 20) + 100)}']
  with Daemon(daemon, *arguments) as process:
    true('warning: blk: the last 100 bytes' in process.log(), process.log())
    equal(process.end(), FINE)


def a_path_in_use_is_refused(daemon, folder):
  path = path_in(folder, 's')
  with Daemon(daemon, f'--socket-path={path}', '--memory=1M') as first:
    complains(run(daemon, f'--socket-path={path}', '--memory=1M'), FAULT, path, 'already')
    true(os.path.exists(path), 'the first one keeps its socket')
    equal(first.end(), FINE)


def a_stale_socket_is_replaced(daemon, folder):
  path = path_in(folder, 's')
  with Daemon(daemon, f'--socket-path={path}', '--memory=1M') as first:
    first.kill()
  true(os.path.exists(path), 'a killed daemon leaves its socket')
  with Daemon(daemon, f'--socket-path={path}', '--memory=1M') as second:
    equal(second.end(), FINE)
  true(not os.path.exists(path), 'the second one removes it')


def every_ending_signal_is_heeded(daemon, folder):
  path = path_in(folder, 's')
  for number in (signal.SIGTERM, signal.SIGINT):
    for threads in (0, 3):
      with Daemon(daemon, f'--socket-path={path}', '--memory=1M',
                  f'--queue-threads={threads}') as process:
        process.signal(number)
        equal(process.wait(), FINE)
      true(not os.path.exists(path), 'the socket is removed')


def a_socket_of_somebody_else_is_left(daemon, folder):
  path = path_in(folder, 's')
  with Daemon(daemon, f'--socket-path={path}', '--memory=1M') as process:
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
      other.bind(path)
      equal(process.end(), FINE)
      true(os.path.exists(path), 'the other socket is still there')


def a_listening_fd_is_served(daemon, folder):
  with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(path_in(folder, 's'))
    listener.listen()
    fd = listener.fileno()
    with Daemon(daemon, f'--fd={fd}', '--memory=1M', pass_fds=[fd]) as process:
      for _ in range(2):
        with socket.socket(socket.AF_UNIX) as front_end:
          front_end.connect(path_in(folder, 's'))
        true(process.child.poll() is None, 'it goes on')
      equal(process.end(), FINE)
    true(os.path.exists(path_in(folder, 's')), 'a socket that was given is not removed')


def a_connected_fd_is_served_once(daemon, folder):
  ours, theirs = socket.socketpair()
  with Daemon(daemon, f'--fd={theirs.fileno()}', '--memory=1M',
              pass_fds=[theirs.fileno()]) as process:
    theirs.close()
    true(process.child.poll() is None, 'it goes on')
    ours.close()
    equal(process.wait(), FINE)


def statistics_come_on_a_signal(daemon, folder):
  path = path_in(folder, 'stats')
  with Daemon(daemon, f'--socket-path={path_in(folder, "s")}', '--memory=1M',
              f'--stats-json={path}') as process:
    true(not os.path.exists(path), 'nothing is written before there is something to tell')
    for _ in range(3):
      process.signal(signal.SIGUSR1)
      true(until(lambda: os.path.exists(path)), 'the file comes')
      with open(path, encoding='utf-8') as file:
        figures = json.load(file)
      os.unlink(path)
    equal(process.end(), FINE)
  equal(set(figures), {'requests', 'bytes_read', 'bytes_written', 'errors', 'kicks', 'calls',
                       'refused_requests', 'ring_errors', 'unsupported', 'sessions', 'iotlb'})
  equal(set(figures['iotlb']), {'entries', 'hits', 'walks', 'misses', 'pages_needed', 'updates',
                                'invalidations', 'refused', 'unsatisfied', 'evicted', 'flushes'})
  equal(os.listdir(folder), [])


def the_log_level_is_obeyed(daemon, folder):
  for level, lines in (('error', False), ('warning', False), ('info', True), ('debug', True)):
    with Daemon(daemon, f'--socket-path={path_in(folder, "s")}', '--memory=1M',
                f'--log-level={level}', wait_for=None) as process:
      true(until(lambda: os.path.exists(path_in(folder, 's'))), 'it listens')
      equal(process.end(), FINE)
      equal('vhu-blk: info: ' in process.log(), lines)


if __name__ == '__main__':
  main([
      capabilities_are_printed_and_nothing_else,
      help_has_examples,
      version_is_told,
      senseless_command_lines_are_refused,
      faults_at_start_are_told,
      a_file_without_permission_is_told,
      odd_bytes_at_the_end_are_told,
      a_path_in_use_is_refused,
      a_stale_socket_is_replaced,
      every_ending_signal_is_heeded,
      a_socket_of_somebody_else_is_left,
      a_listening_fd_is_served,
      a_connected_fd_is_served_once,
      statistics_come_on_a_signal,
      the_log_level_is_obeyed,
  ])
