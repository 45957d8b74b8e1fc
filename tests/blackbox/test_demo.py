#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu demo: what it shows is always the same.

    tests/blackbox/test_demo.py --daemon build/daemons/vhu-blk
"""

import json
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import equal, main, true

FINE, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130
LIMIT = 100
IO = 128 << 10
PAGES = IO // 4096


def command(daemon, *arguments):
  vhu = os.path.join(os.path.dirname(os.path.dirname(daemon)), 'tools', 'vhu')
  return [vhu, 'demo', f'--blk-daemon={daemon}', *arguments]


def run(daemon, folder, *arguments):
  return subprocess.run(command(daemon, *arguments), capture_output=True, text=True, timeout=LIMIT,
                        stdin=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=folder))


def everything_is_counted_and_nothing_differs(daemon, folder):
  for option, size in (('--size=256M', 256 << 20), ('--size=5M', 5 << 20), ('--size=600K', 5 * IO)):
    done = run(daemon, folder, option, '--json')
    equal((done.returncode, done.stderr), (FINE, ''))
    figures = json.loads(done.stdout)
    # All is written and read, a flush between, and four requests are for the refusals.
    requests = 2 * (size // IO) + 5
    equal(figures['requests'], requests)
    # Header, status and each page of data are asked for anew in each request.
    misses = 2 * (size // IO) * (PAGES + 2)
    true(misses <= figures['misses'] <= misses + 30, figures)
    equal(figures['misses'] - figures['updates'], figures['refusals'])
    true(requests <= figures['invalidations'] <= requests + 1, figures)
    equal((figures['written_bytes'], figures['verified_bytes']), (size, size))
    equal((figures['differing_bytes'], figures['refusals']), (0, 2))
    true(figures['unmapped_refused'] and figures['just_unmapped_refused'] and figures['ok'], figures)
    equal(os.listdir(folder), [])


def the_table_shows_the_refusals(daemon, folder):
  done = run(daemon, folder, '--size=1M')
  equal((done.returncode, done.stderr), (FINE, ''))
  equal(done.stdout.count('I/O error, fault reported, memory untouched, disk untouched'), 2)
  true('0 differ' in done.stdout, done.stdout)


def senseless_sizes_are_refused(daemon, folder):
  for size in ('100K', '2T', 'x', '', '1Q', '-1M'):
    done = run(daemon, folder, f'--size={size}')
    equal((done.returncode, done.stdout), (USAGE, ''))
    true('not from 512K to 1T' in done.stderr, done.stderr)


def a_folder_that_will_not_do_is_told(daemon, folder):
  room = os.statvfs(folder)
  if room.f_bavail * room.f_frsize < 1 << 40:
    done = run(daemon, folder, '--size=1T')
    equal((done.returncode, done.stdout), (FAULT, ''))
    true('1048576 are wanted' in done.stderr and 'TMPDIR' in done.stderr, done.stderr)
  done = run(daemon, os.path.join(folder, 'nowhere'), '--size=1M')
  equal((done.returncode, done.stdout), (FAULT, ''))
  true('nowhere: No such file' in done.stderr and 'TMPDIR' in done.stderr, done.stderr)
  equal(os.listdir(folder), [])


def a_program_that_is_no_back_end_is_told(daemon, folder):
  for program in ('/nonexistent/vhu-blk', '/bin/false'):
    done = run(daemon, folder, f'--blk-daemon={program}')
    equal((done.returncode, done.stdout), (FAULT, ''))
    true('vhu demo: negotiating' in done.stderr, done.stderr)
    equal(os.listdir(folder), [])


def an_interrupt_leaves_nothing_behind(daemon, folder):
  child = subprocess.Popen(command(daemon, '--size=64G'), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=folder))
  time.sleep(0.5)
  child.send_signal(signal.SIGINT)
  equal(child.wait(LIMIT), INTERRUPTED)
  equal(os.listdir(folder), [])


if __name__ == '__main__':
  main([
      everything_is_counted_and_nothing_differs,
      the_table_shows_the_refusals,
      senseless_sizes_are_refused,
      a_folder_that_will_not_do_is_told,
      a_program_that_is_no_back_end_is_told,
      an_interrupt_leaves_nothing_behind,
  ])
