# SPDX-License-Identifier: BSD-3-Clause
"""The VM: its modes, QEMU's command line, one run of one job in it, and what came of it."""

import os
import shutil
import tempfile
import time

from .daemon import Daemon
from .process import KitError, Process, tail

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, '..', '..', '..'))
DISK_MIB = 64


class Mode:
  def __init__(self, name, kernel, viommu, platform, group_type):
    self.name = name
    self.kernel = kernel          # command line of the kernel
    self.viommu = viommu          # is there an intel-iommu?
    self.platform = platform      # iommu_platform=
    self.group_type = group_type  # what the driver's kernel must say of the disk's group


MODES = {mode.name: mode for mode in (
  Mode('strict', 'intel_iommu=on iommu.strict=1', True, True, 'DMA'),
  Mode('lazy', 'intel_iommu=on iommu.strict=0', True, True, 'DMA-FQ'),
  Mode('passthrough', 'intel_iommu=on iommu=pt', True, True, 'identity'),
  Mode('noiommu', '', False, True, 'none'),
  Mode('off', '', False, False, 'none'),
)}


class Job:
  """name: a job of scripts/vm/init. mib and writers: for the demo job. firmware: it looks at the
  disk first, and so starts the device once before the kernel does."""

  def __init__(self, name, mib=16, writers=1, cpus=1, firmware=False):
    self.name = name
    self.mib = mib
    self.writers = writers
    self.cpus = cpus
    self.firmware = firmware

  def words(self):
    return f'vhu.job={self.name} vhu.mib={self.mib} vhu.writers={self.writers}'


class Result:
  """What one run left: guest (the VM's own lines), stats (the daemon's), problems (of the run)."""

  def __init__(self, mode, job):
    self.mode = mode
    self.job = job
    self.guest = {}
    self.stats = {}
    self.problems = []
    self.console = ''
    self.qemu_log = ''
    self.daemon_log = ''
    self.seconds = 0.0
    self.cpu = {}  # seconds of CPU during the job: "daemon", "QEMU's main loop", "QEMU's CPUs"

  def logs(self):
    """The ends of all logs, for a person who has to find out why."""
    return '\n'.join(f'--- {name}\n{text}' for name, text in (
      ('console of the VM', self.console), ('QEMU', self.qemu_log),
      ('daemon', self.daemon_log)) if text)

  def number(self, key):
    """A figure of either side; None if nobody said it."""
    value = self.stats.get(key, self.guest.get(key))
    try:
      return int(value)
    except (TypeError, ValueError):
      return None

  def rate(self, key, mib):
    """MiB/s of a phase the VM timed in hundredths of a second."""
    hundredths = self.number(key)
    return mib * 100.0 / max(hundredths, 1) if hundredths is not None else 0.0


def kit_folder():
  return os.environ.get('VHU_VM_DIR', os.path.join(ROOT, 'build', 'vm'))


def default_daemon():
  return os.path.join(ROOT, 'build', 'daemons', 'vhu-blk')


def uses_kvm():
  return os.environ.get('VHU_VM_KVM') == '1' and os.access('/dev/kvm', os.R_OK | os.W_OK)


def device_arguments(mode, socket, disk, queues):
  """The disk. It sits behind a root port: on the root bus QEMU gives it no PCIe capability, ats=on
  is then without effect, and a lazy driver's flushes never reach the back-end."""
  common = f'bus=rp0,disable-legacy=on,num-queues={queues}'
  if mode.platform:
    common += ',iommu_platform=on' + (',ats=on' if mode.viommu else '')
  if socket:
    return ['-chardev', f'socket,id=c0,path={socket}',
            '-device', f'vhost-user-blk-pci,chardev=c0,{common}']
  return ['-drive', f'if=none,id=d0,format=raw,file={disk}',
          '-device', f'virtio-blk-pci,drive=d0,{common}']


def qemu_arguments(mode, job, folder, device, extra):
  kit = kit_folder()
  accel, cpu = ('kvm', 'host') if uses_kvm() else ('tcg', 'max')
  argv = ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
          '-machine', f'q35,accel={accel},kernel-irqchip=split,memory-backend=m0',
          '-object', 'memory-backend-memfd,id=m0,size=512M,share=on',
          '-name', 'vm,debug-threads=on', '-cpu', cpu, '-smp', str(job.cpus),
          '-boot', 'strict=' + ('off' if job.firmware else 'on')]
  if mode.viommu:
    argv += ['-device', 'intel-iommu,intremap=on,device-iotlb=on']
  argv += ['-device', 'pcie-root-port,id=rp0'] + device
  argv += ['-kernel', os.path.join(kit, 'vmlinuz'), '-initrd', os.path.join(kit, 'initramfs'),
           '-append', 'console=ttyS0 quiet panic=-1 no_timer_check nokaslr mitigations=off '
                      f'8250.nr_uarts=2 cryptomgr.notests {mode.kernel} {job.words()}',
           '-serial', 'file:' + os.path.join(folder, 'console'),
           '-serial', 'file:' + os.path.join(folder, 'results')]
  return argv + list(extra)


def read_results(folder):
  """The lines "VHU key value" of the second serial port; a half-written last one is left out."""
  try:
    with open(os.path.join(folder, 'results'), 'rb') as file:
      text = file.read().decode('utf-8', 'replace')
  except OSError:
    return {}
  results = {}
  for line in text.replace('\r', '').split('\n')[:-1]:
    words = line.split(' ', 2)
    if len(words) == 3 and words[0] == 'VHU':
      results[words[1]] = words[2]
  return results


def run(mode, job, program=None, timeout=120, progress=None, keep=False, daemon_extra=(),
        qemu_extra=()):
  """Runs job in a VM of this mode, its disk served by program, or by QEMU itself if that is None.
  progress(result) is called a few times a second. Raises KitError when the run could not be made;
  what went wrong inside it is in the result's problems."""
  result = Result(mode, job)
  folder = tempfile.mkdtemp(prefix='vhu-vm-')
  disk = os.path.join(folder, 'disk')
  daemon = vm = None
  try:
    with open(disk, 'wb') as file:
      file.truncate(DISK_MIB << 20)
    if program:
      daemon = Daemon(program, folder, disk, job.cpus, daemon_extra)
    device = device_arguments(mode, daemon and daemon.socket, disk, job.cpus)
    vm = Process('QEMU', qemu_arguments(mode, job, folder, device, qemu_extra),
                 os.path.join(folder, 'qemu.log'))
    watch(vm, daemon, result, folder, timeout, progress)
    if daemon:
      result.stats, problems = daemon.finish()
      result.problems += problems
      result.daemon_log = daemon.process.log()
  finally:
    for process in (vm, daemon):
      if process:
        process.kill()
    if keep:
      print(f'kept {folder}')
    else:
      shutil.rmtree(folder, ignore_errors=True)
  return result


def cpu_now(vm, daemon):
  """Seconds of CPU by who used them; None when it is too late to ask."""
  threads = vm.cpu_seconds()
  if not threads:
    return None
  cpus = sum(used for name, used in threads.items() if name.startswith('CPU '))
  return {'daemon': sum(daemon.process.cpu_seconds().values()) if daemon else 0.0,
          "QEMU's CPUs": cpus, "QEMU's main loop": sum(threads.values()) - cpus}


def watch(vm, daemon, result, folder, timeout, progress):
  """Follows the VM to its end and takes down what it said."""
  first = None

  def tick():
    nonlocal first
    result.guest = read_results(folder)
    result.seconds = time.monotonic() - vm.started
    if 'job_begins' in result.guest and 'job_cs' not in result.guest:
      now = cpu_now(vm, daemon)
      first = first or now
      if now:
        result.cpu = {who: now[who] - first[who] for who in now}
    if progress:
      progress(result)

  status = vm.wait(timeout, tick)
  if status is None:
    result.problems.append(f'the VM did not end within {timeout} s')
    vm.kill()
  elif status != 0:
    result.problems.append(f'QEMU ended with status {status}')
  tick()
  result.console = tail(os.path.join(folder, 'console'), 45)
  result.qemu_log = vm.log()
  end = result.guest.get('end', 'nothing (did its kernel panic?)')
  if end != 'ok':
    result.problems.append(f'the job ended with: {end}')
  if not result.guest and status != 0 and not result.console:
    raise KitError('\n'.join(result.problems + [result.qemu_log]))
