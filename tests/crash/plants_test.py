#!/usr/bin/env python3
"""Shows that crash_test finds what it is for: fake_server.py without a bug passes, and each of
its planted bugs is found by the mode that is there to find it.

    plants_test.py --crash-test PATH [--only NAME] [--all]

Without --all each bug is looked for in one mode, the first of its row.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FAKE = os.path.join(HERE, 'fake_server.py')

KILL = ['--mode', 'kill', '--cycles', '40', '--check-every', '2']
HISTORY = ['--mode', 'history', '--operations', '30000', '--cycles', '10']

# Which mode has to find it. `kill` asks of each client's own keys, `history` of shared ones.
EXPECTED = {
    'stale_read': [HISTORY, KILL],
    'lost_update': [HISTORY, KILL],
    'early_ack': [HISTORY, KILL],
    'double_incr': [HISTORY, KILL],
    'resurrected_delete': [HISTORY, KILL],
    'partial_mset': [KILL],
    'partial_exec': [KILL],
    'reordered_append': [HISTORY, KILL],
    'uncommitted_read': [HISTORY],
    'cas_ignores': [HISTORY],
    'other_key': [HISTORY, KILL],
    'phantom': [KILL],
    'forgotten_flush': [KILL],
    'lost_deadline': [KILL],
    'short_backup': [KILL],
}
GOOD = [['--mode', 'kill', '--cycles', '8', '--check-every', '2'],
        ['--mode', 'history', '--operations', '15000', '--cycles', '5']]


def crash_test(options, plant, mode, seed):
    folder = tempfile.mkdtemp(prefix='crash-plants-')
    try:
        done = subprocess.run(
            [options.crash_test, '--server', FAKE, '--folder', folder, '--seed', str(seed),
             '--server-arg', '--plant', '--server-arg', plant, *mode],
            capture_output=True, text=True, errors='replace', timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--crash-test', required=True)
    parser.add_argument('--only')
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(4), 'little'))
    options = parser.parse_args()
    print('seed', options.seed)
    cases = [('none', mode, 0) for mode in GOOD]
    cases += [(plant, mode, 1) for plant, modes in EXPECTED.items()
              for mode in (modes if options.all else modes[:1])]
    passed = failed = 0
    for plant, mode, expected in cases:
        if options.only and options.only != plant:
            continue
        status, output = crash_test(options, plant, mode, options.seed)
        is_good = status == expected
        passed += is_good
        failed += not is_good
        said = next((line for line in output.splitlines()
                     if line.startswith(('LOST', 'PHANTOM', 'VIOLATION'))), 'nothing found')
        print('%-4s  %-18s %-8s %s' % ('ok' if is_good else 'FAIL', plant, mode[1], said[:90]))
        if not is_good:
            print(output[-3000:])
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
