#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vhu bench net, and with it the library's front-end and IOMMU, against
dpdk-testpmd: frames are verified through its device IOTLB.

    tests/peers/test_dpdk.py --daemon build/daemons/vhu-blk

The vhu that is tested lies in the same build. testpmd drops frames it has no
translation for; what is lost is no fault here, what is wrong is.
"""

import json
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'blackbox')]
import bench
from bench import FAULT, FINE, INTERRUPTED, LIMIT
from harness import Skip, equal, main, true, until
from testpmd import Testpmd, lacking

# By frames and not by time: each miss takes turns of threads, which may be long in coming.
SHORT = ['--warmup=0', '--frames=500', '--pages=64', '--timeout=10']
FEW = ['--frames=50']


def command(daemon, path, *arguments):
  return bench.command(daemon, path, *arguments, kind='net')


def run(daemon, path, *arguments):
  return bench.run(daemon, path, *arguments, kind='net')


def measure(daemon, path, *arguments):
  """The figures of a run that has to be fine."""
  done = run(daemon, path, *SHORT, *arguments, '--json')
  equal((done.returncode, done.stderr), (FINE, ''))
  figures = json.loads(done.stdout)
  true(figures['ok'], done.stdout)
  bench.documented(figures)
  equal((figures['differing_bytes'], figures['duplicates'], figures['refused']), (0, 0, 0))
  return figures


def complains(done, *words):
  equal(done.returncode, FAULT)
  for word in words:
    true(word in done.stderr, f'"{word}" in {done.stderr}')


def came_back(figures):
  """Every byte of the frames that have returned was looked at."""
  true(figures['received'] > 0, figures)
  equal(figures['verified_bytes'] % figures['size'], 0)
  true(0 < figures['verified_bytes'] <= figures['received'] * figures['size'], figures)


def frames_come_back_whole_without_an_iommu(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap'):
    for more in ([], ['--size=1500'], ['--size=4085'], ['--size=64K'],
                 ['--size=64K', '--no-mergeable'], ['--event-idx', '--ring-size=1024']):
      figures = measure(daemon, path, *more)
      came_back(figures)
      equal((figures['misses'], figures['warmup_misses'], figures['updates']), (0, 0, 0))


def frames_come_back_whole_through_a_device_iotlb(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap'):
    for more in ([], ['--size=1500'], ['--size=64K', *FEW], ['--size=9000', '--no-mergeable', *FEW],
                 ['--pages=2', '--event-idx']):
      figures = measure(daemon, path, '--iommu=static', *more)
      came_back(figures)
      true(figures['warmup_misses'] + figures['misses'] > 0, 'it has asked')
      equal(figures['invalidations'], 0)


def frames_come_back_whole_when_each_is_mapped_and_unmapped(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap'):
    for more in ([], ['--size=1500'], ['--size=9000']):
      figures = measure(daemon, path, '--iommu=strict', *FEW, *more)
      came_back(figures)
      true(figures['invalidations'] > 0, 'translations were taken back')
      true(figures['misses'] > 64, 'and asked for anew')


def each_page_is_asked_for_once_while_it_stays(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'rxonly'):
    figures = measure(daemon, path, '--iommu=static', '--mode=tx', '--pages=200', '--frames=1000')
    asked = figures['warmup_misses'] + figures['misses']
    # Besides, the pages of two rings of 256: four of descriptors and available ones, two of used.
    true(200 <= asked <= 200 + 8, f'{asked} misses of 200 pages')


def mappings_that_are_pushed_are_not_missed(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap'):
    figures = measure(daemon, path, '--iommu=strict', '--policy=push')
    came_back(figures)
    # It has a cache for each queue, and none yet for the second when it is told of its ring.
    true(figures['misses'] + figures['warmup_misses'] <= 8, figures)


def frames_are_taken(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'rxonly'):
    for how in ('off', 'static', 'strict'):
      figures = measure(daemon, path, f'--iommu={how}', '--mode=tx', '--size=1000')
      true(figures['taken'] >= 500, figures)


def frames_are_sent(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'txonly'):
    for how in ('off', 'static', 'strict'):
      figures = measure(daemon, path, f'--iommu={how}', '--mode=rx')
      true(figures['received'] >= 500, figures)


def a_back_end_may_connect(daemon, folder):
  path = os.path.join(folder, 's')
  arguments = command(daemon, path, *SHORT, '--listen', '--iommu=static', '--json',
                      '--timeout=20')
  with subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                        text=True) as process:
    try:
      with Testpmd(path, 'io', connect=True):
        came_back(json.loads(process.communicate(timeout=LIMIT)[0]))
        equal(process.returncode, FINE)
    finally:
      process.kill()
  true(not os.path.exists(path), 'the socket is removed')


def frames_that_differ_are_found(daemon, folder):
  path = os.path.join(folder, 's')
  # It writes its own addresses into frames.
  with Testpmd(path, 'mac'):
    done = run(daemon, path, *SHORT, '--json')
    complains(done, 'differ')
    figures = json.loads(done.stdout)
    true(figures['differing_bytes'] >= figures['received'] > 0, figures)
    true(not figures['ok'], figures)


def frames_that_do_not_come_back_are_missed(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'rxonly'):
    complains(run(daemon, path, '--time=0.5'), 'no frame came back')
    complains(run(daemon, path, '--timeout=4'), 'returns no frames', '4000 ms')


class Running:
  """A run that goes on until something happens to its peer, which is at work by now."""

  def __init__(self, peer, daemon, *arguments):
    self.process = subprocess.Popen(command(daemon, peer.path, '--json', '--warmup=0', *arguments),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True)
    self.peer = peer

  def __enter__(self):
    true(until(lambda: 'DRIVER_OK: 1' in self.peer.log()), 'the driver is ready')
    time.sleep(0.2)
    return self

  def __exit__(self, *_):
    self.process.kill()
    self.process.wait()
    self.process.stdout.close()
    self.process.stderr.close()

  def said(self):
    """Of its failure; what was done until then is told all the same."""
    told, text = self.process.communicate(timeout=LIMIT)
    equal(self.process.returncode, FAULT)
    figures = json.loads(told)
    true(figures['seconds'] > 0 and figures['sent'] > 0 and not figures['ok'], told)
    return text


def a_back_end_that_stalls_is_not_waited_for(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap') as peer:
    with Running(peer, daemon, '--timeout=3', '--time=60', '--iommu=static') as running:
      peer.hold()
      true('nothing for 3000 ms' in (text := running.said()), text)
    complains(run(daemon, path, '--timeout=0.5'), 'GET_FEATURES', 'no reply')
    peer.resume()
    came_back(measure(daemon, path, '--iommu=static'))


def a_back_end_that_ends_is_noticed(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap') as peer:
    with Running(peer, daemon, '--time=60', '--iommu=strict') as running:
      peer.kill()
      true('the back-end' in (text := running.said()) and text.count('\n') == 1, text)


def what_was_under_way_at_an_interrupt_is_not_lost(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap') as peer:
    child = subprocess.Popen(command(daemon, path, '--json', '--time=60', '--warmup=0'),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    true(until(lambda: 'DRIVER_OK: 1' in peer.log()), 'the driver is ready')
    time.sleep(0.4)
    child.send_signal(signal.SIGINT)
    said, complaint = child.communicate(timeout=LIMIT)
    equal((child.returncode, complaint), (INTERRUPTED, 'vhu bench net: interrupted\n'))
    figures = json.loads(said)
    true(figures['received'] > 0, said)
    true(figures['seconds'] < 30 and figures['ok'], said)
    equal((figures['lost'], figures['sent']), (0, figures['taken']))


def a_back_end_without_an_iotlb_is_told_of(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap', iommu=False):
    complains(run(daemon, path, '--iommu=static'), 'no device IOTLB', 'iommu-support=1')
    came_back(measure(daemon, path))


def write_only_buffers_are_refused_to_a_back_end_that_wants_to_read_them(daemon, folder):
  path = os.path.join(folder, 's')
  with Testpmd(path, 'macswap'):
    complains(run(daemon, path, '--iommu=static', '--strict-perm', '--timeout=4'),
              'refused', 'for rw')
    figures = measure(daemon, path, '--iommu=static')
    came_back(figures)


TESTS = [
    frames_come_back_whole_without_an_iommu,
    frames_come_back_whole_through_a_device_iotlb,
    frames_come_back_whole_when_each_is_mapped_and_unmapped,
    each_page_is_asked_for_once_while_it_stays,
    mappings_that_are_pushed_are_not_missed,
    frames_are_taken,
    frames_are_sent,
    a_back_end_may_connect,
    frames_that_differ_are_found,
    frames_that_do_not_come_back_are_missed,
    a_back_end_that_stalls_is_not_waited_for,
    a_back_end_that_ends_is_noticed,
    what_was_under_way_at_an_interrupt_is_not_lost,
    a_back_end_without_an_iotlb_is_told_of,
    write_only_buffers_are_refused_to_a_back_end_that_wants_to_read_them,
]


def skipped(why):
  def test(daemon, folder):
    raise Skip(why)
  test.__name__ = 'dpdk'
  return test


if __name__ == '__main__':
  why = lacking()
  main([skipped(why)] if why else TESTS)
