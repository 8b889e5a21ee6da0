"""memento-check: what it says of a directory, whole and damaged, and the directories it makes.

The directory is tests/log/golden/1, a small one with every kind of record."""

import contextlib
import json
import os
import shutil
import tempfile

import server
from server import Server, check, check_equal, encode, run

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'log', 'golden', '1')
PART = 'snap-0000000000000001.mem'
FIRST = 'log-0000000000000002.mem'
LAST = 'log-0000000000000003.mem'


def tool(arguments, *words, status=0):
    """Runs memento-check, which lies beside the server; its output."""
    path = os.path.join(os.path.dirname(arguments.server), 'memento-check')
    done = run([path, *words])
    check(done.returncode == status, '%s: exit %d and not %d: %s %s', words, done.returncode,
          status, done.stdout, done.stderr)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


@contextlib.contextmanager
def copy_of_golden():
    folder = tempfile.mkdtemp(prefix='memento-e2e-')
    try:
        yield shutil.copytree(GOLDEN, os.path.join(folder, 'data'))
    finally:
        shutil.rmtree(folder)


def flip(data, name, offset):
    with open(os.path.join(data, name), 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def reopen(data):
    """Makes the manifest say that the log was not closed, as after a crash."""
    rewrite(data, {b'required-end': b'required-end 0 open'})


def rewrite(data, changes):
    """Puts other lines into the manifest, by their first word; None: no line."""
    path = os.path.join(data, 'MANIFEST')
    with open(path, 'rb') as file:
        text = file.read().rsplit(b'crc ', 1)[0]
    lines = [changes.get(line.split()[0], line) for line in text.splitlines()]
    text = b'\n'.join(line for line in lines if line is not None) + b'\n'
    with open(path, 'wb') as file:
        file.write(text + b'crc %08x\n' % crc32c(text))


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def listing(data):
    return {name: os.stat(os.path.join(data, name)).st_mtime_ns for name in os.listdir(data)}


def records(arguments, data):
    return [json.loads(line) for line in tool(arguments, 'dump', data).stdout.splitlines()]


def case_a_whole_directory_is_verified_and_not_touched(arguments):
    with copy_of_golden() as data:
        before = listing(data)
        check('closed cleanly' in tool(arguments, 'verify', data).stdout, 'says so')
        text = tool(arguments, 'stats', data).stdout
        for line in ('records, SET           25', 'records, MAP           2',
                     'records, other kinds   1', 'next sequence          7',
                     'state                  closed cleanly'):
            check(line in text, '%s is not in %s', line, text)
        size = sum(os.path.getsize(os.path.join(data, name)) for name in os.listdir(data)
                   if name.endswith('.mem'))
        used = int(text.split('of them used')[1].split()[0])
        check(0 < used < size - 3 * 4096, '%d bytes used of %d', used, size)
        tool(arguments, 'dump', data)
        check_equal(listing(data), before, 'the files')


def case_damage_is_told_with_file_offset_and_what_to_do(arguments):
    with copy_of_golden() as data:
        flip(data, FIRST, 4200)
        said = tool(arguments, 'verify', data, status=2).stderr
        check('%s, offset 4096: ' % FIRST in said, '%s', said)
        check('memento-check repair --out=%s.repaired %s' % (data, data) in said, '%s', said)
        tool(arguments, 'dump', data, status=2)


def case_stats_of_a_damaged_directory_do_not_call_it_clean(arguments):
    for name in PART, FIRST, LAST:
        with copy_of_golden() as data:
            whole = tool(arguments, 'stats', data).stdout
            flip(data, name, 4200)
            text = tool(arguments, 'stats', data, status=2).stdout
            check('state                  corrupt' in text, '%s: %s', name, text)
            used = [int(said.split('of them used')[1].split()[0]) for said in (whole, text)]
            check(used[1] < used[0], '%s: bytes used: %s', name, used)


def case_without_its_manifest_nothing_is_done(arguments):
    with copy_of_golden() as data:
        manifest = os.path.join(data, 'MANIFEST')
        for is_there, word, status in ((True, 'damaged', 2), (False, 'missing', 3)):
            if is_there:
                flip(data, 'MANIFEST', 20)
            else:
                os.remove(manifest)
            for words in (['verify'], ['stats'], ['repair', '--out=' + data + '.new']):
                done = tool(arguments, *words, data, status=status)
                check('%s: MANIFEST is %s and says which files count: put back the one of a '
                      'backup of this directory, together with its files\n' % (data, word)
                      in done.stderr, '%s', done.stderr)
                check_equal(done.stdout, '', 'output')
                check('memento-check repair' not in done.stderr, '%s', done.stderr)
            check(not os.path.exists(data + '.new'), 'nothing is made')


def case_a_torn_end_is_told(arguments):
    with copy_of_golden() as data:
        reopen(data)
        check('open end' in tool(arguments, 'verify', data).stdout, 'open')
        size = os.path.getsize(os.path.join(data, LAST))
        flip(data, LAST, size - 100)  # behind the seal: nothing looks there
        tool(arguments, 'verify', data)
        flip(data, LAST, 4200)
        said = tool(arguments, 'verify', data, status=2).stderr
        check('a later frame' in said, '%s', said)  # the seal knew it to be durable
        with open(os.path.join(data, LAST), 'r+b') as file:
            file.truncate(4300)
        said = tool(arguments, 'verify', data, status=1).stderr
        check('torn: %s, offset 4096' % LAST in said, '%s', said)


def case_repair_keeps_what_is_whole_also_behind_damage(arguments):
    with copy_of_golden() as data:
        whole = records(arguments, data)
        flip(data, FIRST, 4200)
        before = listing(data)
        out = data + '.repaired'
        said = tool(arguments, 'repair', '--out=' + out, data, status=1).stdout
        check('damage:' not in said and 'lost: 1\n' in said, '%s', said)
        check('lost: %s, offset 4096 to 4272, before frame 2 of 2025-11-21T10:40:00.000Z' % FIRST
              in said, '%s', said)
        check_equal(listing(data), before, 'the old files')
        tool(arguments, 'verify', out)
        kept = [record for record in whole
                if record['from'] == 'snapshot' or record['sequence'] != 1]
        check_equal(len(records(arguments, out)), len(kept), 'records')
        for old, new in zip(kept, records(arguments, out)):
            old.pop('sequence')
            new.pop('sequence')
            check_equal(new, old, 'a record')
        check_equal(tool(arguments, 'repair', '--out=' + out, data, status=3).stderr,
                    'memento-check: %s is there already: name a new directory\n' % out, 'again')


def case_repair_goes_on_without_a_missing_file(arguments):
    with copy_of_golden() as data:
        os.remove(os.path.join(data, FIRST))
        tool(arguments, 'verify', data, status=2)
        said = tool(arguments, 'repair', '--out', data + '.repaired', data, status=1).stdout
        check('lost: %s: the file is missing, before frame ' % FIRST in said, '%s', said)
        check('damage:' not in said and 'lost: 1\n' in said, '%s', said)
        tool(arguments, 'verify', data + '.repaired')


def case_repair_tells_of_an_end_that_is_gone_without_a_trace(arguments):
    with copy_of_golden() as data:
        with open(os.path.join(data, LAST), 'r+b') as file:
            file.truncate(4096)
        said = tool(arguments, 'repair', '--out=' + data + '.repaired', data, status=1).stdout
        check('damage: %s, offset 4096: ' % LAST in said, '%s', said)
        check('lost: 1\n' in said and said.count('\n') == 2, '%s', said)


def case_repair_tells_of_frames_that_are_missing_between_files_once(arguments):
    size = 4096 + 176  # the header and the first frame
    for end, junk, text in (
            (4096, b'', '%s, offset 4096 to 4096, before frame 5' % LAST),
            (size, b'', '%s, offset 4096 to 4096, after frame 1' % LAST),
            (size, b'junk', '%s, offset %d to %d, after frame 1' % (FIRST, size, size + 4)),
            (100, b'', '%s, offset 0: the file is shorter than its header, before frame' % FIRST)):
        with copy_of_golden() as data:
            with open(os.path.join(data, FIRST), 'r+b') as file:
                file.truncate(end)
                file.seek(end)
                file.write(junk)
            tool(arguments, 'verify', data, status=2)
            said = tool(arguments, 'repair', '--out=' + data + '.new', data, status=1).stdout
            check(said.startswith('lost: ' + text), '%s', said)
            check_equal(said.count('\n'), 2, said)


def case_repair_of_nothing_damaged_loses_nothing(arguments):
    with copy_of_golden() as data:
        out = data + '.repaired'
        said = tool(arguments, 'repair', '--out=' + out, data).stdout
        check('lost: 0\n' in said, '%s', said)
        check_equal(records(arguments, out), records(arguments, data), 'records')


def case_truncate_restores_an_earlier_moment(arguments):
    with copy_of_golden() as data:
        whole = records(arguments, data)
        for number, words in enumerate((
                ['--to-seq=4'], ['--to-seq', '4'], ['--to-time=2025-11-21T10:40:00.500Z'],
                ['--to-time=1763721600500'], ['--to-time=1763721600'])):
            out = data + str(number)
            tool(arguments, 'truncate', *words, '--out', out, data)
            tool(arguments, 'verify', out)
            check_equal(records(arguments, out),
                        [record for record in whole
                         if record['from'] == 'snapshot' or record['sequence'] <= 4], words)
        said = tool(arguments, 'truncate', '--to-seq=1', '--out=' + data + '9', data,
                    status=3).stderr
        check('the earliest moment that can be restored is 1763721600000 ms, sequence 2' in said,
              '%s', said)
        flip(data, FIRST, 4200)
        tool(arguments, 'truncate', '--to-seq=4', '--out=' + data + '9', data, status=2)
        check(not os.path.exists(data + '9'), 'nothing is made')


def case_truncate_behind_the_end_tells_where_that_is(arguments):
    with copy_of_golden() as data:
        said = tool(arguments, 'truncate', '--to-seq=500', '--out=' + data + '1', data).stdout
        check('the log ends at 6\n' in said, '%s', said)
        check_equal(records(arguments, data + '1'), records(arguments, data), 'records')
        said = tool(arguments, 'truncate', '--to-seq=4', '--out=' + data + '2', data).stdout
        check('the log ends' not in said, '%s', said)


def case_truncate_tells_when_nothing_is_left(arguments):
    with copy_of_golden() as data:
        rewrite(data, {b'part': None, b'snapshot-from': b'snapshot-from 0 0'})
        done = tool(arguments, 'truncate', '--to-time=1763721599', '--out=' + data + '1', data,
                    status=1)
        check('%s1 is made, but has no frame' % data in done.stderr, '%s', done.stderr)
        tool(arguments, 'verify', data + '1')
        check_equal(records(arguments, data + '1'), [], 'records')


def case_a_dump_can_be_replayed(arguments):
    done = run([os.path.join(os.path.dirname(arguments.server), 'memento-check'), 'dump',
                '--format=resp', GOLDEN])
    check_equal(done.returncode, 0, 'exit status')
    with Server(arguments.server) as memento, memento.client() as client:
        client.send_bytes(done.stdout + encode('ECHO', 'done'))
        reply = None
        while reply != b'done':
            reply = client.read()
            check(not isinstance(reply, server.ErrorReply), 'a reply: %s', reply)
        # The last FLUSHALL left nothing of before it, and the last SWAPDB put 0 behind 1.
        check_equal(client.ask('DBSIZE'), 0, 'keys in 0')
        client.ask('SELECT', '1')
        check_equal(client.ask('DBSIZE'), 7, 'keys in 1')
        check_equal(client.ask('GET', 'key:000030')[:12], b'value of 30 ', 'a value')


def case_bad_usage_is_told(arguments):
    for words, text in (
            ([], 'a command and a directory are needed'),
            (['verify'], 'a command and a directory are needed'),
            (['verify', GOLDEN, GOLDEN], 'one directory too many'),
            (['veryfy', GOLDEN], 'unknown command veryfy'),
            (['verify', '--fast', GOLDEN], 'unknown option --fast'),
            (['verify', '--out=x', GOLDEN], 'does not take'),
            (['dump', '--format=xml', GOLDEN], 'xml is no format'),
            (['repair', GOLDEN], 'repair needs --out=NEW'),
            (['truncate', '--out=x', GOLDEN], 'truncate needs --to-time or --to-seq'),
            (['truncate', '--to-time=noon', '--out=x', GOLDEN], 'noon is no time'),
            (['truncate', '--to-time=seq:4', '--out=x', GOLDEN], 'seq:4 is no time'),
            (['truncate', '--to-seq=4', '--to-time=1763721600', '--out=x', GOLDEN],
             '--to-time and --to-seq are two moments'),
            (['truncate', '--out=x', GOLDEN, '--to-seq'], '--to-seq needs a value'),
            (['truncate', '--to-seq', '--out=x', GOLDEN], '--to-seq needs a value'),
            (['dump', '--formats=resp', GOLDEN], 'unknown option --formats=resp'),
            (['dump', '--format=', GOLDEN], '--format needs a value'),
            (['truncate', '--to-seq=0', '--out=x', GOLDEN], '0 is no sequence number'),
            (['verify', '/nowhere/at/all'], 'cannot open /nowhere/at/all'),
            (['verify', os.path.dirname(GOLDEN)], 'MANIFEST is missing')):
        said = tool(arguments, *words, status=3).stderr
        check(said.startswith('memento-check: ') and text in said, '%s: %s', words, said)
    check('truncate' in tool(arguments, '--help').stdout, '--help')
    check(tool(arguments, '--version').stdout.startswith('memento-check '), '--version')


server.main(__name__)
