#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu bench blk, and with it the library's front-end, against qemu-storage-daemon.

    tests/peers/test_qsd.py --daemon build/daemons/vhu-blk

The vhu that is tested lies in the same build.
"""

import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'blackbox')]
from bench import FAULT, INTERRUPTED, LIMIT, command, complains, measure, run
from harness import Skip, equal, main, true, until
from qsd import Qsd, lacking, ways

SIZE = 16 << 20


def is_connected(path):
  """Whether a socket of that name is the end of a connection, state 03 in this list."""
  with open('/proc/net/unix', encoding='ascii', errors='replace') as file:
    return any(line.split()[5] == '03' and line.rstrip().endswith(' ' + path) for line in file)


def image_of(folder):
  path = os.path.join(folder, 'image')
  with open(path, 'wb') as file:
    file.truncate(SIZE)
  return path


def data_is_verified_by_each_way_of_io(daemon, folder):
  image, path = image_of(folder), os.path.join(folder, 's')
  usable = ways(path, image)
  true('threads' in usable, usable)
  for way in usable:
    with Qsd(path, image, way, queues=2):
      for more in ([], ['--bs=64K', '--segment=4K', '--iodepth=4'],
                   ['--num-queues=2', '--poll', '--bs=512', '--area=1M']):
        figures = measure(daemon, path, '--rw=randrw', '--verify', '--size=4M', *more)
        true(figures['verified_bytes'] >= 1 << 20, figures)
        equal((figures['misses'], figures['updates']), (0, 0))
      equal(figures['peer'], 'qemu-storage-daemon')
    with open(image, 'rb') as file:
      data = file.read()
    equal(len(data), SIZE)
    equal([at for at in range(0, SIZE, 4096) if not any(data[at:at + 64])], [])
    os.truncate(image, 0)
    os.truncate(image, SIZE)


def an_iommu_it_has_not_is_told(daemon, folder):
  image, path = image_of(folder), os.path.join(folder, 's')
  with Qsd(path, image, writable=False):
    for how in ('static', 'strict', 'lazy'):
      done = run(daemon, path, f'--iommu={how}')
      equal((done.returncode, done.stdout), (FAULT, ''))
      true('no device IOTLB' in done.stderr, done.stderr)
    done = run(daemon, path, '--rw=write')
    equal((done.returncode, done.stdout), (FAULT, ''))
    true('written' in done.stderr, done.stderr)
    equal(measure(daemon, path, '--rw=read', '--size=1M')['requests'], 256)


def a_second_bench_is_told_that_it_is_busy(daemon, folder):
  image, path = image_of(folder), os.path.join(folder, 's')
  with Qsd(path, image) as peer:
    first = subprocess.Popen(command(daemon, path, '--time=50'), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    # It has taken the first one's connection when it can be heard of.
    true(until(lambda: is_connected(path)), 'the first bench is connected')
    complains(run(daemon, path, '--timeout=0.3'), FAULT, 'no reply within 300 ms', 'is it free?')
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=LIMIT)
    equal(first.returncode, INTERRUPTED)
    true('0 failed' in said and peer.child.poll() is None, said)


def its_death_ends_the_bench(daemon, folder):
  image, path = image_of(folder), os.path.join(folder, 's')
  with Qsd(path, image) as peer:
    child = subprocess.Popen(command(daemon, path, '--time=50'), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    peer.child.send_signal(signal.SIGKILL)
    _, said = child.communicate(timeout=LIMIT)
    equal(child.returncode, FAULT)
    true(said.startswith('vhu bench blk: '), said)


def unless_absent(test):
  def wrapped(daemon, folder):
    if lacking():
      raise Skip(lacking())
    test(daemon, folder)
  wrapped.__name__ = test.__name__
  return wrapped


if __name__ == '__main__':
  main([unless_absent(test) for test in (
      data_is_verified_by_each_way_of_io,
      an_iommu_it_has_not_is_told,
      a_second_bench_is_told_that_it_is_busy,
      its_death_ends_the_bench,
  )])
