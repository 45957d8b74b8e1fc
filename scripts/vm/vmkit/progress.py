# SPDX-License-Identifier: BSD-3-Clause
"""One line on a terminal that says where the VM is; nothing at all where there is no terminal."""

import sys

PHASES = (
  ('end', 'powering off'), ('verified_mib', 'verified'), ('read_cs', 'comparing'),
  ('write_cs', 'reading back'), ('scan_cs', 'writing'), ('group_type', 'at work'),
  ('boot_cs', 'loading drivers'),
)


def phase(result):
  for key, text in PHASES:
    if key in result.guest:
      return text
  return 'booting'


def show(result):
  if sys.stderr.isatty():
    line = f'  {result.mode.name:<12} {result.seconds:5.1f} s  {phase(result)}'
    sys.stderr.write(f'\r\033[K{line}')
    sys.stderr.flush()


def clear():
  if sys.stderr.isatty():
    sys.stderr.write('\r\033[K')
    sys.stderr.flush()
