# SPDX-License-Identifier: BSD-3-Clause
"""The suites of scripts/check, in the order they run: quick ones first.

A suite is a function that is given a Runner (run commands, keep their output)
and fills its tally. Builds are folders of their own under build/check/; the
programs that the last suites run are those of "make", in build/.
"""

import os
import shutil
import sys

from project import ROOT, project_files

MESON_SETS = {
  'gcc': (['-Dbuildtype=release', '-Dbenchmarks=true'], {'CC': 'gcc'}),
  'clang': (['-Dbuildtype=debugoptimized', '-Dbenchmarks=true'], {'CC': 'clang'}),
  'asan': (['-Dbuildtype=debugoptimized', '-Db_sanitize=address,undefined'], {'CC': 'gcc'}),
  # gcc's does not know atomic_thread_fence() and says so; clang's keeps quiet.
  'tsan': (['-Dbuildtype=debugoptimized', '-Db_sanitize=thread', '-Db_lundef=false',
            '-Dprograms=false'], {'CC': 'clang'}),
}

SANITIZERS = {
    'ASAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:detect_leaks=1',
  'UBSAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:print_stacktrace=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
}


# They have suites of their own.
WITHOUT_OTHERS = ['--no-suite', 'blackbox', '--no-suite', 'soak', '--no-suite', 'trap']


class Skip(Exception):
  """Raised by a suite that can't run; @in_debian: a package would cure it."""

  def __init__(self, why, in_debian=False):
    super().__init__(why)
    self.in_debian = in_debian


class Suite:
  def __init__(self, name, function, about, needs='', limit=400):
    self.name = name
    self.function = function
    self.about = about
    self.needs = needs.split()  # commands, or @pkg-config modules
    self.limit = limit          # seconds

  def lacking(self):
    return ' '.join(need for need in self.needs if not is_there(need))


def is_there(need):
  if need.startswith('@'):
    return os.system(f'pkg-config --exists {need[1:]}') == 0
  return shutil.which(need) is not None


def jobs():
  return os.environ.get('JOBS') or str(len(os.sched_getaffinity(0)))


def script(name, *arguments):
  def suite(runner):
    code, _ = runner.run(os.path.join('scripts', name), *arguments)
    runner.tally.add_step(name, code)
  return suite


def format_(runner):
  names = [name for name in project_files() if name.endswith(('.c', '.h'))]
  code, _ = runner.run('clang-format-14', '--dry-run', '-Werror', *names)
  runner.tally.add_step('clang-format-14', code)


def build(runner, folder, options, env):
  """Sets the folder up if need be; true if it builds."""
  if not os.path.exists(os.path.join(ROOT, folder, 'build.ninja')):
    shutil.rmtree(os.path.join(ROOT, folder, 'meson-private'), ignore_errors=True)
    code, _ = runner.run('meson', 'setup', folder, *options, env=env)
    if code != 0:
      runner.tally.fail(f'meson setup {folder}')
      return False
  code, _ = runner.run('ninja', '-C', folder, f'-j{jobs()}')
  runner.tally.add_step(f'build of {folder}', code)
  return code == 0


def randomises_too_much():
  """Whether the sanitizer's shadow would collide with addresses of the kernel's choice."""
  try:
    with open('/proc/sys/vm/mmap_rnd_bits', encoding='ascii') as file:
      return int(file.read()) > 28 and os.system('setarch -R true 2>/dev/null') == 0
  except OSError:
    return False


def tests(name, *choice):
  """Builds with the tests and runs them; @choice: options of "meson test"."""
  def suite(runner):
    folder = f'build/check/{name}'
    options, env = MESON_SETS[name]
    if not build(runner, folder, ['-Dtests=true', '-Dwerror=true', *options], env):
      return
    log = os.path.join(ROOT, folder, 'meson-logs', 'testlog.json')
    if os.path.exists(log):
      os.unlink(log)
    wrap = ['setarch', '-R'] if name == 'tsan' and randomises_too_much() else []
    # Many wait for time to pass: one more than there are processors keeps these busy.
    code, _ = runner.run(*wrap, 'meson', 'test', '-C', folder, '--no-rebuild',
                         '--print-errorlogs', '--timeout-multiplier', '3',
                         '--num-processes', str(int(jobs()) + 1), *choice, env=SANITIZERS)
    if os.path.exists(log):
      runner.tally.add_meson(log)
    else:
      runner.tally.fail('no test is defined')
    if code != 0 and not runner.tally.failed:
      runner.tally.fail(f'meson test: exit code {code}')
  return suite


def release(runner):
  build(runner, 'build', ['-Dbuildtype=release', '-Dwerror=false'], {})


def program(name):
  """A program of "make"; it was built by the suite release, or long before."""
  path = os.path.join(ROOT, 'build', name)
  if not os.access(path, os.X_OK):
    raise Skip(f'build/{name} is not built')
  return path


def man(runner):
  program('tools/vhu')
  script('check-man', 'build')(runner)


def examples(runner):
  program('examples/hello-backend')
  script('check-examples')(runner)


def run_python(runner, name, *arguments):
  code, output = runner.run(sys.executable, name, *arguments,
                            '--daemon', program('daemons/vhu-blk'))
  runner.tally.add_program(name, code, output)


def blackbox(runner):
  names = [name for name in project_files('tests/blackbox')
           if os.path.basename(name).startswith('test_') and name.endswith('.py')]
  if not names:
    raise Skip('there is no test in tests/blackbox')
  for name in names:
    run_python(runner, name)


def peers(runner):
  program('tools/vhu')
  for name in project_files('tests/peers'):
    if os.path.basename(name).startswith('test_') and name.endswith('.py'):
      run_python(runner, name)


def conform(runner):
  program('tools/vhu')
  for name in project_files('tests/conform'):
    if os.path.basename(name).startswith('test_') and name.endswith('.py'):
      run_python(runner, name)


def fuzz(runner):
  code, output = runner.run(os.path.join('scripts', 'fuzz'), '--fresh', '--seconds', '20')
  runner.tally.add_program('fuzz', code, output)


def model(runner):
  code, output = runner.run(os.path.join('scripts', 'model'))
  runner.tally.add_program('model', code, output)


def soak(runner):
  tests('tsan', '--suite', 'soak')(runner)


def trap(runner):
  for name in ('gcc', 'asan', 'tsan'):
    tests(name, '--suite', 'trap')(runner)


def demo(runner):
  code, _ = runner.run(program('tools/vhu'), 'demo')
  runner.tally.add_step('vhu demo', code)


def vm(runner):
  program('daemons/vhu-blk')
  code, output = runner.run('scripts/vm/setup')
  if code != 0:
    raise Skip('scripts/vm/setup: ' + (output.strip().split('\n') or ['?'])[-1], True)
  run_python(runner, 'tests/vm/test_vm.py', 'check', '--control', 'tests/vm/naive_backend.py')


SUITES = [
  Suite('layers', script('check-layers'), 'direction of every #include'),
  Suite('sizes', script('check-size'), 'length of files and functions'),
  Suite('words', script('check-words'), 'words, licence lines, white space'),
  Suite('docs', script('check-docs'), 'paths and tests that the documents name exist'),
  Suite('api', script('api-pages', '--check'), 'every public function is described whole'),
  Suite('format', format_, 'house style of C', 'clang-format-14'),
  Suite('model', model, 'every order of steps of session, workers and front-end, in a model',
        'spin gcc', limit=600),
  Suite('gcc', tests('gcc', *WITHOUT_OTHERS), 'build as released, every warning an error; '
        'unit and session tests', 'gcc meson ninja @cmocka'),
  Suite('clang', tests('clang', '--suite', 'unit'), 'the same by clang, of which tsan is, too; '
        'unit tests', 'clang meson ninja @cmocka'),
  Suite('asan', tests('asan', '--no-suite', 'trap'), 'all other tests under address and '
        'undefined-behaviour sanitizers', 'gcc meson ninja @cmocka', limit=700),
  Suite('tsan', tests('tsan', *WITHOUT_OTHERS), 'unit and session tests under the thread '
        'sanitizer', 'clang meson ninja @cmocka', limit=700),
  Suite('fuzz', fuzz, 'every fuzz target for 20 s, from its seeds', 'clang meson ninja @cmocka',
        limit=420),
  Suite('soak', soak, 'a back-end at random work for 20 s under the thread sanitizer; '
        'asan has it, too',
        'clang meson ninja @cmocka', limit=420),
  Suite('trap', trap, 'pages trapped behind their invalidation, also under the sanitizers',
        'gcc clang meson ninja @cmocka', limit=600),
  Suite('release', release, 'the programs of "make", for what follows', 'meson ninja'),
  Suite('man', man, 'a man page per program that names every option', 'groff'),
  Suite('examples', examples, 'the examples, against each other'),
  Suite('install', script('check-install'), 'what "make install" leaves works for others'),
  Suite('blackbox', blackbox, 'vhu-blk from outside'),
  Suite('peers', peers, 'vhu bench against back-ends of others', limit=180),
  Suite('conform', conform, 'vhu conform against our programs and others', limit=600),
  Suite('demo', demo, '"make demo"', limit=60),
  Suite('vm', vm, 'a Linux guest behind a vIOMMU', limit=420),
]
