# SPDX-License-Identifier: BSD-3-Clause
"""Counts of tests passed, failed and skipped, read from what test programs print."""

import json
import re

# cmocka's own lines, of which a program prints one set per group of tests.
CMOCKA = {
  'passed': re.compile(r'^\[  PASSED  \] (\d+) test', re.MULTILINE),
  'failed': re.compile(r'^\[  FAILED  \] (\d+) test', re.MULTILINE),
  'skipped': re.compile(r'^\[  SKIPPED \] (\d+) test', re.MULTILINE),
}
TAP = re.compile(r'^(not )?ok\b(.*)$', re.MULTILINE)
TAP_SKIP = re.compile(r'#\s*skip\S*\s*(.*)', re.IGNORECASE)
UNITTEST = re.compile(r'^Ran (\d+) tests? in ', re.MULTILINE)
UNITTEST_END = re.compile(r'^(?:OK|FAILED)(?: \((.*)\))?$', re.MULTILINE)

SKIPPED = 77


class Tally:
  def __init__(self):
    self.passed = self.failed = self.skipped = 0
    self.forbidden = 0  # of the skipped: for want of what Debian has
    self.notes = []

  def total(self):
    return self.passed + self.failed + self.skipped

  def add(self, other):
    self.passed += other.passed
    self.failed += other.failed
    self.skipped += other.skipped
    self.forbidden += other.forbidden
    self.notes += other.notes

  def fail(self, why):
    self.failed += 1
    self.notes.append(f'failed: {why}')

  def skip(self, why, in_debian=False):
    """@why speaks of a package where a package is what lacks."""
    cured = in_debian or 'package' in why
    self.skipped += 1
    self.forbidden += cured
    self.notes.append(f'skipped{" for want of a package" if cured else ""}: {why}')

  def forbid_skips(self):
    """A skip that a package would have cured counts as a failure."""
    self.skipped -= self.forbidden
    self.failed += self.forbidden
    self.forbidden = 0

  def add_step(self, name, code):
    """A command that is one test by itself."""
    if code == 0:
      self.passed += 1
    elif code == SKIPPED:
      self.skip(name)
    else:
      self.fail(f'{name}: exit code {code}')

  def add_program(self, name, code, output):
    """A test program; its own counts where it prints some."""
    part = from_cmocka(output) or from_tap(output) or from_unittest(output) or Tally()
    if code == SKIPPED and not part.total():
      part.skip(last_line(output))
    elif code not in (0, SKIPPED) and not part.failed:
      part.fail(f'exit code {code}')
    elif not part.total():
      part.passed = 1
    part.notes = [f'{name}: {note}' for note in part.notes]
    self.add(part)

  def add_meson(self, path):
    """The testlog.json of "meson test"."""
    with open(path, encoding='utf-8') as log:
      for line in log:
        row = json.loads(line)
        code = row['returncode']
        if row['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL') and code in (0, SKIPPED):
          code = row['result']
        output = (row.get('stdout') or '') + '\n' + (row.get('stderr') or '')
        self.add_program(row['name'], code, output)


def last_line(output):
  lines = output.strip().split('\n')
  return lines[-1] if lines[-1] else 'says nothing'


def from_cmocka(output):
  tally = Tally()
  for key, pattern in CMOCKA.items():
    setattr(tally, key, sum(int(number) for number in pattern.findall(output)))
  if tally.failed:
    names = re.findall(r'^\[  FAILED  \] ([^\d\s].*)$', output, re.MULTILINE)
    tally.notes.append('failed: ' + '; '.join(dict.fromkeys(names)))
  if tally.skipped:
    names = re.findall(r'^\[  SKIPPED \] ([^\d\s].*)$', output, re.MULTILINE)
    tally.notes.append('skipped: ' + '; '.join(dict.fromkeys(names)))
  return tally if tally.total() else None


def from_tap(output):
  tally = Tally()
  for bad, rest in TAP.findall(output):
    skip = TAP_SKIP.search(rest)
    if bad:
      tally.fail(rest.strip(' -'))
    elif skip:
      tally.skip(skip.group(1) or rest.strip(' -'))
    else:
      tally.passed += 1
  return tally if tally.total() else None


def from_unittest(output):
  ran = UNITTEST.search(output)
  if not ran:
    return None
  tally = Tally()
  end = UNITTEST_END.search(output, ran.end())
  counts = dict(re.findall(r'(\w+)=(\d+)', end.group(1) or '') if end else [])
  bad = int(counts.get('failures', 0)) + int(counts.get('errors', 0))
  for why in re.findall(r"skipped ['\"](.*)['\"]$", output, re.MULTILINE):
    tally.skip(why)
  for _ in range(int(counts.get('skipped', 0)) - tally.skipped):
    tally.skip('run with -v for the reason')
  tally.failed = bad
  tally.passed = int(ran.group(1)) - bad - tally.skipped
  tally.notes += [f'failed: {name}' for name in
                  re.findall(r'^(?:FAIL|ERROR): (\S+)', output, re.MULTILINE)]
  return tally if tally.total() else None
