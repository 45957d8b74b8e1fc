# SPDX-License-Identifier: BSD-3-Clause
"""What must be true of a run: the mode is the one asked for, the data came back, no DMA fault, and
no more misses than the pages needed explain."""

# A lazy driver's flush of its whole domain also takes what chains under assembly already had, in
# each queue: that is asked for again and is no duplicate. It stays below half of all; a back-end
# that repeats its misses needs more than twice the pages.
MISS_FACTOR = {'strict': 1.02, 'lazy': 1.5, 'passthrough': 1.02}
MISS_SLACK = 100


def miss_bound(mode, pages_needed):
  return int(MISS_FACTOR[mode.name] * pages_needed) + MISS_SLACK


def judge(result, with_stats=True, allowed_faults=0):
  """A list of what is wrong; empty if nothing is."""
  wrong = list(result.problems)
  wrong += judge_mode(result)
  # QEMU complains of each fault on its own terms; of anything else it has no reason to.
  wrong += [f'QEMU said: {line}' for line in result.qemu_log.splitlines()
            if not (allowed_faults and ': vtd_' in line)]
  expect(wrong, result, 'dma_faults', lambda n: n <= allowed_faults, 'DMA faults in the log')
  expect(wrong, result, 'io_errors', lambda n: n == 0, 'I/O errors in the kernel log')
  if result.job.name != 'none':
    least = result.job.mib if result.job.name == 'demo' else 4
    expect(wrong, result, 'verified_mib', lambda n: n >= least, 'MiB verified')
  if with_stats:
    wrong += judge_stats(result)
  return wrong


def judge_mode(result):
  """The proofs of the mode that the VM itself gives."""
  wrong = []
  mode = result.mode
  group = result.guest.get('group_type', 'unknown')
  if group != mode.group_type:
    wrong.append(f'IOMMU group type is {group}, not {mode.group_type}')
  if mode.viommu:
    expect(wrong, result, 'dmar', lambda n: n > 0, 'lines "DMAR: IOMMU enabled"')
  expect(wrong, result, 'access_platform', lambda n: n == int(mode.platform),
         'VIRTIO_F_ACCESS_PLATFORM acknowledged by the driver')
  return wrong


def judge_stats(result):
  """The daemon's side of it: it really translated, or really did not."""
  wrong = []
  mode = result.mode
  expect(wrong, result, 'requests', lambda n: n > 0, 'requests served')
  expect(wrong, result, 'errors', lambda n: n == 0, 'requests failed')
  expect(wrong, result, 'refused', lambda n: n == 0, 'misses refused')
  expect(wrong, result, 'unsatisfied', lambda n: n == 0, 'misses unsatisfied')
  if not mode.viommu:
    for key in ('misses', 'updates', 'invalidations'):
      expect(wrong, result, key, lambda n: n == 0, f'{key} without a vIOMMU')
    return wrong
  expect(wrong, result, 'misses', lambda n: n > 0, 'misses')
  if mode.name in ('strict', 'lazy'):
    expect(wrong, result, 'invalidations', lambda n: n > 0, 'invalidations')
  bound = miss_bound(mode, result.number('pages_needed') or 0)
  expect(wrong, result, 'misses', lambda n: n <= bound, f'misses (at most {bound} are explained)')
  return wrong


def expect(wrong, result, key, predicate, what):
  value = result.number(key)
  if value is None:
    wrong.append(f'{key} is not reported')
  elif not predicate(value):
    wrong.append(f'{what}: {value}')
