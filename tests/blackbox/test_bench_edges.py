#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu bench in odd surroundings: wrong back-ends, none, too little of something, nobody who
reads, impatient users. Each ends with a line that helps, and the exit status of the manual.

    tests/blackbox/test_bench_edges.py --daemon build/daemons/vhu-blk
"""

import fcntl
import json
import os
import pty
import pwd
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

sys.dont_write_bytecode = True
from bench import (FAULT, FINE, INTERRUPTED, LIMIT, USAGE, command, complains, documented, measure,
                   run, serve, start, vhu_of)
from harness import Daemon, Skip, equal, main, true, until

KINDS = ('blk', 'net')
SHORT = '--time=0.2'


def begin(daemon, path, *arguments, kind='blk', **more):
  return subprocess.Popen(command(daemon, path, *arguments, kind=kind), text=True,
                          **{'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE,
                             'stderr': subprocess.PIPE, **more})


def a_path_where_nobody_can_listen_is_told_at_once(daemon, folder):
  plain = os.path.join(folder, 'plain')
  with open(plain, 'wb'):
    pass
  for kind in KINDS:
    began = time.monotonic()
    for path in (plain, folder):
      complains(run(daemon, path, kind=kind), FAULT, f'--socket-path={path}', 'is no socket',
                'give the path')
    complains(run(daemon, folder + 120 * 'x', kind=kind), FAULT, '--socket-path', 'at most 107')
    true(time.monotonic() - began < 1, 'nobody was waited for')


def a_socket_of_somebody_else_is_told(daemon, folder):
  if os.geteuid() != 0:
    raise Skip('only root can become somebody else')
  path, process = serve(daemon, folder, '--memory=1M', '--socket-mode=0600')
  with process:
    os.chmod(folder, 0o755)
    nobody = pwd.getpwnam('nobody')
    for kind in KINDS:
      try:
        done = run(daemon, path, kind=kind, user=nobody.pw_uid, group=nobody.pw_gid,
                   extra_groups=[])
      except PermissionError:
        raise Skip('others may not run this program where it lies') from None
      complains(done, FAULT, path, 'Permission denied', 'change its mode')


def a_back_end_of_another_kind_is_told(daemon, folder):
  path, process = serve(daemon, folder, '--memory=1M')
  with process:
    complains(run(daemon, path, kind='net'), FAULT, 'VIRTIO_NET_F_MRG_RXBUF', 'network device')
    measure(daemon, path, '--size=1M')
  example = os.path.join(os.path.dirname(daemon), '../examples/hello-backend')
  if not os.path.exists(example):
    raise Skip('there is no other back-end: the examples are not built')
  path = os.path.join(folder, 'rng')
  with Daemon(example, path, wait_for=None) as process:
    true(until(lambda: os.path.exists(path)), 'it listens')
    complains(run(daemon, path), FAULT, 'GET_CONFIG', 'is the back-end a disk?')
    complains(run(daemon, path, kind='net'), FAULT, 'network device')


def a_back_end_that_misses_what_is_not_mapped_is_told(daemon, folder):
  path, said = os.path.join(folder, 's'), os.path.join(folder, 'said')
  bench = ' '.join(command(daemon, path, '--iommu=static', '--time=10', '--timeout=2'))
  judge = [vhu_of(daemon), 'conform', 'frontend', f'--socket-path={path}', '--type=blk',
           '--only=fe-miss.unmapped', '--observe=0.2',
           f'--restart-cmd={bench} >/dev/null 2>{said} &']
  equal(subprocess.run(judge, stdout=subprocess.DEVNULL, timeout=LIMIT).returncode, FINE)
  def text():
    with open(said, encoding='utf-8') as file:
      return file.read()
  true(until(lambda: 'misses were refused, the first at 0x' in text()), text())
  true('closed the connection' in text(), text())


def a_back_end_that_is_busy_is_told(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    first = start(daemon, path, process)
    complains(run(daemon, path, SHORT), FAULT, 'negotiating', 'is it free?')
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=LIMIT)
    equal(first.returncode, INTERRUPTED)
    true('0 failed' in said, said)
  # One that leaves a second front-end waiting, as qemu-storage-daemon does.
  with socket.socket(socket.AF_UNIX) as mute:
    mute.bind(os.path.join(folder, 'mute'))
    mute.listen()
    for kind in KINDS:
      complains(run(daemon, os.path.join(folder, 'mute'), '--timeout=0.3', kind=kind), FAULT,
                'GET_FEATURES: no reply within 300 ms', 'is it free?')


def more_memory_than_there_is_is_not_taken(daemon, folder):
  if os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') > 200 << 30:
    raise Skip('this machine has it')
  path, process = serve(daemon, folder, '--memory=8M', '--num-queues=64')
  with process:
    complains(run(daemon, path, '--iodepth=1024', '--bs=4M', '--num-queues=64'), FAULT,
              '--iodepth=1024', '--bs=4M', 'MiB', 'give less')
    if 'a build with a sanitizer' in process.log():
      return  # which needs addresses without end
    def bound():
      resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
    complains(run(daemon, path, '--iodepth=512', '--bs=1M', preexec_fn=bound), FAULT,
              'Cannot allocate memory', 'a smaller --iodepth')


def few_files_are_told(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    for most in (4, 6, 8, 10):
      def bound(most=most):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
      complains(run(daemon, path, SHORT, '--iommu=static', '--num-queues=1', preexec_fn=bound),
                FAULT, 'Too many open files', 'ulimit -n')
    measure(daemon, path, SHORT)


def figures_that_nobody_gets_are_no_success(daemon, folder):
  path, process = serve(daemon, folder)
  with process, open('/dev/full', 'wb') as full:
    for more in (['--json'], []):
      done = run(daemon, path, SHORT, *more, stdout=full)
      equal(done.returncode, FAULT)
      true('standard output' in done.stderr and 'No space' in done.stderr, done.stderr)
    reads, writes = os.pipe()
    os.close(reads)
    for restore, want in ((False, FAULT), (True, -signal.SIGPIPE)):
      equal(run(daemon, path, SHORT, stdout=writes, restore_signals=restore).returncode, want)
    os.close(writes)
    for command_line in ([vhu_of(daemon), '--version'], [vhu_of(daemon), 'demo', '--size=1M'],
                         [vhu_of(daemon), 'bench', 'net', '--help']):
      equal(subprocess.run(command_line, stdout=full, stderr=subprocess.DEVNULL,
                           timeout=LIMIT).returncode, FAULT)


def what_was_closed_at_the_start_is_not_written_to(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    shell = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(['sh', '-c', shell, 'sh', *command(daemon, path, SHORT, '--verify',
                                                             '--area=1M')], timeout=LIMIT)
    equal(done.returncode, FAULT)
    true(until(lambda: 'session 1 ended' in process.log()), process.log())
    true('error' not in process.log().replace('0 errors', ''), process.log())


def before_it_is_at_work_an_interrupt_ends_it_at_once(daemon, folder):
  path = os.path.join(folder, 's')
  with socket.socket(socket.AF_UNIX) as mute:
    mute.bind(path)
    mute.listen()
    for kind in KINDS:
      for where, number in ((path, signal.SIGINT), (path + 'nobody', signal.SIGTERM)):
        child = begin(daemon, where, '--timeout=20', kind=kind)
        time.sleep(0.2)
        began = time.monotonic()
        child.send_signal(number)
        equal(child.communicate(timeout=LIMIT), ('', f'vhu bench {kind}: interrupted\n'))
        equal(child.returncode, INTERRUPTED)
        true(time.monotonic() - began < 1, 'at once')
  child = begin(daemon, path + 'mine', '--listen', kind='net')
  true(until(lambda: os.path.exists(path + 'mine')), 'it listens')
  child.send_signal(signal.SIGINT)
  equal(child.communicate(timeout=LIMIT), ('', 'vhu bench net: interrupted\n'))
  equal((child.returncode, os.path.exists(path + 'mine')), (INTERRUPTED, False))


def who_hung_up_may_be_ignored(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    child = start(daemon, path, process, '--time=1', '--json',
                  preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    child.send_signal(signal.SIGHUP)
    said, complaint = child.communicate(timeout=LIMIT)
    equal((child.returncode, complaint), (FINE, ''))
    true(json.loads(said)['seconds'] >= 1, said)


def everything_of(terminal):
  """What was shown there until its last user has gone."""
  shown = b''
  try:
    while chunk := os.read(terminal, 4096):
      shown += chunk
  except OSError:
    pass
  os.close(terminal)
  return shown.decode()


def on_a_terminal(daemon, path, *arguments, terminal='vt100', columns=80, meanwhile=None):
  """What a run shows there, standard output and error together, and its exit status."""
  ours, theirs = pty.openpty()
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
  child = begin(daemon, path, *arguments, stdout=theirs, stderr=theirs,
                env=dict(os.environ, TERM=terminal))
  os.close(theirs)
  if meanwhile:
    meanwhile()
  return everything_of(ours), child.wait(LIMIT)


def the_live_line_is_as_long_as_the_terminal_is_wide(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    for columns in (20, 80):
      shown, code = on_a_terminal(daemon, path, '--time=0.7', columns=columns)
      equal(code, FINE)
      lines = re.findall(r'\r([^\r\x1b]+)\x1b\[K', shown)
      true(lines and all(0 < len(line) < columns for line in lines), shown)
      # It is gone before the table comes.
      true('\r\x1b[Krandread, 4096 bytes' in shown, shown)
    shown, code = on_a_terminal(daemon, path, '--time=0.7', terminal='dumb')
    equal((code, '\x1b' in shown), (FINE, False))


def what_is_said_takes_the_place_of_the_live_line(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    def die_at_work():
      true(until(lambda: 'started at index' in process.log()), 'a queue has started')
      time.sleep(0.8)
      process.signal(signal.SIGKILL)
    shown, code = on_a_terminal(daemon, path, '--time=20', meanwhile=die_at_work)
    equal(code, FAULT)
    true(' IOPS ' in shown, shown)
    true('\r\x1b[Kvhu bench blk: ' in shown and 'closed the connection' in shown, shown)


def what_is_in_the_json_is_in_the_manual(daemon, folder):
  path, process = serve(daemon, folder)
  with process:
    done = run(daemon, path, '--size=1M', '--json')
  equal(done.stdout.count('\n'), 1)
  documented(json.loads(done.stdout))
  demo = subprocess.run([vhu_of(daemon), 'demo', '--size=1M', '--json'], capture_output=True,
                        text=True, timeout=LIMIT, env=dict(os.environ, TMPDIR=folder))
  documented(json.loads(demo.stdout))


def options_of_bench_net_name_themselves(daemon, folder):
  cases = [
      ([], '--socket-path', 'not given'),
      (['--time=abc'], '--time=abc', 'seconds'),
      (['--timeout=0'], '--timeout=0', 'seconds'),
      (['--warmup=-1'], '--warmup=-1'),
      (['--size=63'], '--size=63', '64K'),
      (['--size=65537'], '--size=65537'),
      (['--pages=0'], '--pages=0', '256K'),
      (['--pages=1'], '--pages=1', '2 at least', 'give more'),
      (['--size=64K', '--pages=20'], '--pages=20', '34 at least'),
      (['--size=64K', '--ring-size=16'], '--ring-size=16', '32 at least'),
      (['--ring-size=100'], '--ring-size=100', 'power of two'),
      (['--iommu=lazy'], '--iommu=lazy', 'strict'),
      (['--mode=both'], '--mode=both', 'loop'),
      (['--policy=push'], '--policy=push', '--iommu=static'),
      (['--frames=0'], '--frames=0'),
      (['word'], 'word', 'not an option'),
  ]
  for arguments, *words in cases:
    done = run(daemon, None if not arguments else 'x', *arguments, kind='net')
    complains(done, USAGE, 'vhu bench net: ', *words)


def help_comes_in_every_way(daemon, folder):
  def said(*words):
    done = subprocess.run([vhu_of(daemon), *words], capture_output=True, text=True, timeout=LIMIT)
    equal((done.returncode, done.stderr), (FINE, ''))
    return done.stdout
  equal((said('help'), said('-h')), 2 * (said('--help'),))
  for words in (['demo'], ['bench'], ['bench', 'blk'], ['bench', 'net'], ['conform', 'backend']):
    equal((said('help', *words), said(*words, '-h')), 2 * (said(*words, '--help'),))
  for kind in KINDS:
    for word in ('Examples:', 'Exit status: 0', '130 interrupted'):
      true(word in said('bench', kind, '--help'), f'{word} in the help of {kind}')


if __name__ == '__main__':
  main([
      a_path_where_nobody_can_listen_is_told_at_once,
      a_socket_of_somebody_else_is_told,
      a_back_end_of_another_kind_is_told,
      a_back_end_that_misses_what_is_not_mapped_is_told,
      a_back_end_that_is_busy_is_told,
      more_memory_than_there_is_is_not_taken,
      few_files_are_told,
      figures_that_nobody_gets_are_no_success,
      what_was_closed_at_the_start_is_not_written_to,
      before_it_is_at_work_an_interrupt_ends_it_at_once,
      who_hung_up_may_be_ignored,
      the_live_line_is_as_long_as_the_terminal_is_wide,
      what_is_said_takes_the_place_of_the_live_line,
      what_is_in_the_json_is_in_the_manual,
      options_of_bench_net_name_themselves,
      help_comes_in_every_way,
  ], at_once=8)
