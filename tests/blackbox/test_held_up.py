#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Front-ends that make the eventfds they have given block whoever uses them: vhu-blk serves the
next one, and ends when it is told to.

    tests/blackbox/test_held_up.py --daemon build/daemons/vhu-blk
"""

import fcntl
import os
import sys

sys.dont_write_bytecode = True
import frontend as fe
from disk import connect, start
from harness import equal, main, true, until

FULL = 2 ** 64 - 2
WAYS = ([], ['--queue-threads=2'])


def jam(fd):
  """Who adds to it waits from now on."""
  fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
  os.eventfd_write(fd, FULL)


def hold_up(process, folder):
  """A front-end whose request is done, and of which nobody can be told."""
  front_end = connect(folder)
  front_end.start()
  jam(front_end.call)
  front_end.post(0, fe.OUT, 1, b'd' * 512)
  front_end.notify()
  true(until(front_end.used), 'the request is done')
  return front_end


def is_let_go(process):
  return until(lambda: 'has made an eventfd that it gave block us' in process.log(), 5)


def the_next_front_end_is_served(daemon, folder, arguments):
  with start(daemon, folder, '--memory=1M', *arguments) as process:
    front_end = hold_up(process, folder)
    true(is_let_go(process), process.log())
    front_end.close()
    front_end = connect(folder)
    front_end.start()
    equal(front_end.request(fe.IN, 1, room=512), (fe.OK, b'd' * 512))
    front_end.close()
    equal(process.end(), 0)


def a_dead_front_end_holds_up_nobody(daemon, folder, arguments):
  with start(daemon, folder, '--memory=1M', *arguments) as process:
    hold_up(process, folder).close()
    true(until(lambda: 'session 1 ended' in process.log(), 5), process.log())
    connect(folder).close()
    equal(process.end(), 0)


def it_ends_when_it_is_told_to(daemon, folder, arguments):
  with start(daemon, folder, '--memory=1M', *arguments) as process:
    front_end = hold_up(process, folder)
    equal(process.end(), 0)
    true(not os.path.exists(f'{folder}/s'), 'the socket is removed')
    front_end.close()


def with_arguments(test, arguments):
  def run(daemon, folder):
    test(daemon, folder, arguments)
  run.__name__ = ' '.join([test.__name__, *arguments])
  return run


if __name__ == '__main__':
  main([with_arguments(test, arguments)
        for test in (the_next_front_end_is_served, a_dead_front_end_holds_up_nobody,
                     it_ends_when_it_is_told_to)
        for arguments in WAYS], at_once=6)
