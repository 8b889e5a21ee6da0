#!/usr/bin/env python3
"""What a restart keeps, however the server ended; and what a start refuses.

Every case has a data directory of its own, in a temporary folder. Servers that are killed are
killed by us, by pid."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import tempfile
import threading

import server
from server import (Client, ErrorReply, Failed, Lost, Server, Skipped, check, check_equal,
                    read_info, wait_until)

WORKERS = ('--workers', '2', '--log-segment-size', '1mb')
POLICIES = ('always', 'everysec', 'never')
EXIT_CORRUPT, EXIT_NEWER = 3, 4


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix='memento-data-')
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def serving(arguments, data, *options):
    return Server(arguments.server, '--dir', os.path.join(data, 'd'), *WORKERS, *options)


def run_to_end(arguments, data, *options):
    """A start that is refused: exit status and what it says."""
    ended = server.run([arguments.server, '--bind', '127.0.0.1', '--port', server.free_port(),
                        '--dir', os.path.join(data, 'd'), *WORKERS, *options])
    return ended.returncode, (ended.stdout + ended.stderr).decode('utf-8', 'replace')


def kill(a_server):
    a_server.process.kill()
    a_server.process.wait()
    a_server.exit_status = -signal.SIGKILL


def files(data, prefix):
    return sorted(name for name in os.listdir(os.path.join(data, 'd'))
                  if name.startswith(prefix) and name.endswith('.mem'))


# ---- what is kept ----


def change_everything(client):
    """Every kind of change; returns what has to be found afterwards, by questions."""
    big = bytes(random.Random(1).randbytes(300000))
    for words in (
            ('SET', 'plain', 'v'), ('SET', 'gone', 'v'), ('DEL', 'gone'), ('SET', 'empty', ''),
            ('INCRBY', 'number', 41), ('INCR', 'number'), ('INCRBYFLOAT', 'float', '1.5'),
            ('APPEND', 'appended', 'ab'), ('APPEND', 'appended', 'cd'),
            ('SETRANGE', 'range', 3, 'x'), ('SETBIT', 'bit', 7, 1), ('PREPEND', 'appended', '_'),
            ('MSET', 'm1', 1, 'm2', 2), ('MSETNX', 'm3', 3, 'm4', 4), ('SETNX', 'nx', 1),
            ('GETSET', 'plain', 'w'), ('SET', 'lives', 1, 'EX', 5000), ('SET', 'dies', 1, 'PX', 1),
            ('SET', 'persisted', 1, 'EX', 5000), ('PERSIST', 'persisted'),
            ('SET', 'expired', 1), ('PEXPIRE', 'expired', 1), ('EXPIRE', 'plain', 7000),
            ('SET', 'old', 'named'), ('RENAME', 'old', 'new'), ('COPY', 'new', 'copy'),
            ('SET', 'moved', 'm'), ('MOVE', 'moved', 3), ('SET', 'big', big), ('APPEND', 'big', '!'),
            ('SET', 'bigger', b'x' * (3 << 20)), ('GETDEL', 'm1'), ('GETEX', 'm2', 'EX', 6000),
            ('BITOP', 'NOT', 'inverted', 'bit'), ('BITFIELD', 'field', 'SET', 'u8', 0, 77)):
        reply = client.ask(*words)
        check(not isinstance(reply, ErrorReply), '%s: %s', words[:2], reply)
    client.ask('SELECT', 5)
    client.ask('SET', 'flushed', 1)
    client.ask('FLUSHDB')
    client.ask('SET', 'behind', 'the flush')
    client.ask('SELECT', 6)
    client.ask('SET', 'swapped', 6)
    client.ask('SWAPDB', 6, 7)
    client.ask('SET', 'after', 'the swap')
    client.ask('SELECT', 0)
    check_equal(client.pipeline([('MULTI',), ('SET', 'e1', 1), ('INCR', 'e1'), ('DEL', 'nx'),
                                 ('EXEC',)])[4], ['OK', 2, 1], 'EXEC')
    return big + b'!'


def look_at_everything(client, big):
    for words, wanted in (
            (('GET', 'plain'), b'w'), (('EXISTS', 'gone', 'dies', 'expired', 'old', 'm1', 'nx'), 0),
            (('GET', 'empty'), b''), (('GET', 'number'), b'42'), (('GET', 'float'), b'1.5'),
            (('GET', 'appended'), b'_abcd'), (('GET', 'range'), b'\0\0\0x'),
            (('GETBIT', 'bit', 7), 1), (('MGET', 'm2', 'm3', 'm4'), [b'2', b'3', b'4']),
            (('TTL', 'persisted'), -1), (('GET', 'new'), b'named'), (('GET', 'copy'), b'named'),
            (('EXISTS', 'moved'), 0), (('GET', 'big'), big), (('STRLEN', 'bigger'), 3 << 20),
            (('GET', 'inverted'), b'\xfe'), (('GET', 'field'), b'\x4d'), (('GET', 'e1'), b'2')):
        check_equal(client.ask(*words), wanted, words)
    for key, seconds in (('lives', 5000), ('plain', 7000), ('m2', 6000)):
        left = client.ask('TTL', key)
        check(seconds - 600 < left <= seconds, 'TTL %s is %s', key, left)
    for database, wanted in ((3, {b'moved'}), (5, {b'behind'}), (6, {b'after'}),
                             (7, {b'swapped'})):
        client.ask('SELECT', database)
        check_equal(set(client.ask('KEYS', '*')), wanted, 'keys of database %d' % database)
    client.ask('SELECT', 0)


def case_a_restart_keeps_every_change(arguments):
    with folder() as data:
        with serving(arguments, data) as one, one.client() as client:
            big = change_everything(client)
        with serving(arguments, data) as one, one.client() as client:
            look_at_everything(client, big)
            check_equal(client.ask('SAVE'), 'OK', 'SAVE')
        with serving(arguments, data) as one, one.client() as client:
            look_at_everything(client, big)
            client.ask('FLUSHALL')
        with serving(arguments, data) as one, one.client() as client:
            check_equal(client.ask('DBSIZE'), 0, 'keys after FLUSHALL')


def case_kill_keeps_every_change(arguments):
    for policy in POLICIES:
        with folder() as data:
            with serving(arguments, data, '--fsync-policy', policy) as one:
                with one.client() as client:
                    big = change_everything(client)
                kill(one)
            with serving(arguments, data) as one, one.client() as client:
                look_at_everything(client, big)


def write_until_lost(address, number, acknowledged):
    """INCRs and SETs of one client: `acknowledged` is the last that was answered."""
    with contextlib.suppress(Lost, OSError):
        with Client(address) as client:
            for count in range(1, 1 << 30):
                replies = client.pipeline([('INCR', 'c%d' % number),
                                           ('SET', 'v%d' % number, count)])
                check(replies[0] == count and replies[1] == 'OK', 'replies: %s', replies)
                acknowledged[number] = count


def case_kill_under_load_keeps_what_was_acknowledged(arguments):
    clients = 8
    for policy in POLICIES:
        with folder() as data:
            acknowledged = [0] * clients
            with serving(arguments, data, '--fsync-policy', policy) as one:
                threads = [threading.Thread(target=write_until_lost,
                                            args=(one.address, i, acknowledged))
                           for i in range(clients)]
                for thread in threads:
                    thread.start()
                wait_until(lambda: min(acknowledged) > 50, 'every client has written')
                kill(one)
                for thread in threads:
                    thread.join()
            with serving(arguments, data) as one, one.client() as client:
                for i in range(clients):
                    for key in ('c%d' % i, 'v%d' % i):
                        kept = int(client.ask('GET', key) or 0)
                        check(acknowledged[i] <= kept <= acknowledged[i] + 1,
                              '%s: %s is %d, %d were answered', policy, key, kept,
                              acknowledged[i])


def case_what_expired_stays_gone_after_a_restart(arguments):
    with folder() as data:
        with serving(arguments, data) as one, one.client() as client:
            client.ask('SET', 'k', 'old')
            client.ask('SET', 'k', 'new', 'PX', 50)
            wait_until(lambda: client.ask('EXISTS', 'k') == 0, 'the key is gone')
            kill(one)
        with serving(arguments, data) as one, one.client() as client:
            check_equal(client.ask('GET', 'k'), None, 'GET')


def case_a_restore_goes_back_to_a_frame(arguments):
    with folder() as data:
        with serving(arguments, data, '--compaction-garbage-percent', '0') as one:
            with one.client() as client:
                client.ask('SET', 'another', 'first')
                client.ask('SET', 'k', 'before')
                client.ask('WAITAOF', 1, 0, 0)
                last = int(one.info()['log_sequence']) - 1
                client.ask('SET', 'k', 'after')
        with serving(arguments, data, '--restore-to', 'seq:%d' % last) as one:
            with one.client() as client:
                check_equal(client.ask('GET', 'k'), b'before', 'what was restored')


def case_a_backup_is_a_data_directory(arguments):
    with folder() as data:
        with serving(arguments, data) as one, one.client() as client:
            client.ask('SET', 'k', 'in the backup')
            check_equal(client.ask('BACKUP', 'mine'), 'OK', 'BACKUP')
            check(re.search(r'backup mine made in \d+ ms at \S+/backups/mine', one.output()),
                  'its trace: %s', one.output())
            client.ask('SET', 'k', 'later')
        shutil.copytree(os.path.join(data, 'd', 'backups', 'mine'),
                        os.path.join(data, 'copy', 'd'))
        with serving(arguments, os.path.join(data, 'copy')) as one, one.client() as client:
            check_equal(client.ask('GET', 'k'), b'in the backup', 'GET')


# ---- policies ----


def case_a_connection_may_ask_for_more(arguments):
    with folder() as data, serving(arguments, data, '--fsync-policy', 'never') as one:
        with one.client() as client, one.client() as other:
            check_equal(client.ask('DURABILITY'), 'never', 'DURABILITY')
            check_equal(client.ask('DURABILITY', 'always'), 'OK', 'DURABILITY always')
            client.ask('SET', 'k', 'v')
            check_equal(int(one.info()['unsynced_bytes']), 0, 'unsynced bytes')
            check_equal(other.ask('DURABILITY'), 'never', 'DURABILITY of another')
            client.ask('CONFIG', 'SET', 'fsync-policy', 'always')
            check_equal(other.ask('DURABILITY'), 'always', 'DURABILITY with the policy')
            check_equal(client.ask('CONFIG', 'GET', 'appendfsync'), [b'appendfsync', b'always'],
                        'appendfsync')
            client.ask('CONFIG', 'SET', 'appendfsync', 'no')
            check_equal(client.ask('CONFIG', 'GET', 'appendfsync', 'fsync-policy'),
                        [b'fsync-policy', b'never', b'appendfsync', b'no'], 'never')


def case_replies_keep_their_order_under_always(arguments):
    """Reads and writes of one pipeline, with values that are sent from where they lie."""
    generator = random.Random(7)
    large = bytes(generator.randbytes(100000))
    with folder() as data, serving(arguments, data, '--fsync-policy', 'always') as one:
        with one.client() as client, one.client() as other:
            client.ask('SET', 'large', large)
            for _ in range(30):
                requests, wanted = [('SET', 'n', 0)], ['OK']
                for i in range(generator.randrange(1, 200)):
                    kind = generator.randrange(4)
                    requests.append((('INCR', 'n'), ('GET', 'large'), ('ECHO', i),
                                     ('SET', 'x', i))[kind])
                    wanted.append((sum(r[0] == 'INCR' for r in requests), large,
                                   str(i).encode(), 'OK')[kind])
                other.send('SET', 'y', 1)
                check_equal(client.pipeline(requests), wanted, 'replies')
                check_equal(other.read(), 'OK', 'the other client')


def case_a_reply_larger_than_the_batch_waits_in_order(arguments):
    """More than is answered at once: what is held grows beyond where reading stops."""
    with folder() as data, serving(arguments, data, '--fsync-policy', 'always') as one:
        with one.client() as client:
            client.ask('SET', 'v', b'y' * 8000)
            for _ in range(5):
                requests = [('SET', 'w', 1)] + [('GET', 'v')] * 1000 + [('INCR', 'n')]
                replies = client.pipeline(requests * 3)
                check_equal(sum(reply == b'y' * 8000 for reply in replies), 3000, 'values')
                check_equal(replies[0], 'OK', 'the first reply')
            check_equal(replies[-1], 15, 'the last reply')


def case_quit_waits_for_what_is_held(arguments):
    with folder() as data, serving(arguments, data, '--fsync-policy', 'always') as one:
        for _ in range(20):
            with one.client() as client:
                client.send_bytes(server.encode('SET', 'k', 'v') + server.encode('QUIT'))
                check_equal(client.read_to_end(), b'+OK\r\n+OK\r\n', 'SET and QUIT')
            with one.client() as client:
                client.send_bytes(server.encode('SET', 'k', 'v') + b'*1\r\n$x\r\n')
                check(client.read_to_end().startswith(b'+OK\r\n-ERR'), 'SET and nonsense')
            with one.client() as client:
                client.send_bytes(server.encode('SET', 'k', 'v'))
                client.end_sending()
                check_equal(client.read_to_end(), b'+OK\r\n', 'SET and the end')


def case_a_client_that_leaves_while_it_waits_is_forgotten(arguments):
    with folder() as data, serving(arguments, data, '--fsync-policy', 'never') as one:
        for words in (('WAITAOF', 0, 1, 0), ('SAVE',), ('BACKUP', 'x')):
            client = one.client()
            client.send(*words)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack('ii', 1, 0))
            client.close()
        with one.client() as client:
            wait_until(lambda: int(one.info()['connected_clients']) <= 2, 'they are gone')
            # The jobs of those who are gone may still wait: there is room for one.
            wait_until(lambda: client.ask('SAVE') == 'OK', 'SAVE')
            check_equal(client.pipeline([('WAITAOF', 0, 1, 30), ('ECHO', 'x')]),
                        [[1, 0], b'x'], 'what stands behind WAITAOF')


# ---- starting and ending ----


def case_the_port_is_open_while_it_loads(arguments):
    """What needs the data is told to wait; the rest is answered; SIGTERM is obeyed."""
    with folder() as data:
        with serving(arguments, data) as one, one.client() as client:
            value = 'x' * 40
            for first in range(0, 400000, 1000):
                client.send(*['MSET'] + [word for i in range(first, first + 1000)
                                         for word in ('key:%d' % i, value)])
            for _ in range(400):
                check_equal(client.read(), 'OK', 'MSET')
        seen = set()
        for _ in range(5):
            one = serving(arguments, data, '--load-threads', '1')
            one.wait_for_data = lambda: True
            with one, one.client() as client:
                reply, watch, info, echo = client.pipeline([
                    ('GET', 'key:7'), ('WATCH', 'key:7'), ('INFO', 'persistence'),
                    ('ECHO', 'x')])
                is_loading = read_info(info)['loading'] == '1'
                check(str(reply).startswith('LOADING') or reply == value.encode(),
                      'GET: %s', reply)
                if is_loading:
                    check_equal(reply, 'LOADING memento is loading the dataset in memory', 'GET')
                    check(str(watch).startswith('LOADING'), 'WATCH: %s', watch)
                    check('loading_loaded_perc' in read_info(info) and echo == b'x', 'INFO')
                    one.stop()
                seen.add(is_loading)
            if True in seen:
                break
        if True not in seen:
            raise Skipped('this machine loads faster than it can be asked')
        with serving(arguments, data) as one, one.client() as client:
            check_equal(client.ask('DBSIZE'), 400000, 'keys')


def case_sigterm_under_load_ends_cleanly(arguments):
    """C19: fifty writers, and not one answered write is lost."""
    clients = 50
    with folder() as data:
        acknowledged = [0] * clients
        with serving(arguments, data) as one:
            threads = [threading.Thread(target=write_until_lost,
                                        args=(one.address, i, acknowledged))
                       for i in range(clients)]
            for thread in threads:
                thread.start()
            wait_until(lambda: min(acknowledged) > 5, 'every client has written')
            one.stop()
            for thread in threads:
                thread.join()
        with open(os.path.join(data, 'd', 'MANIFEST'), encoding='ascii') as file:
            check(re.search(r'^required-end \w+ clean$', file.read(), re.M), 'not clean')
        with serving(arguments, data) as one, one.client() as client:
            for i in range(clients):
                kept = int(client.ask('GET', 'c%d' % i))
                check(acknowledged[i] <= kept <= acknowledged[i] + 1,
                      'c%d is %d, %d were answered', i, kept, acknowledged[i])


def case_a_second_server_is_refused_and_told_who_has_it(arguments):
    with folder() as data, serving(arguments, data) as one:
        status, said = run_to_end(arguments, data)
        check_equal(status, 1, 'exit status')
        check(str(one.pid) in said, 'the pid is not told: %s', said)
        with one.client() as client:
            check_equal(client.ask('PING'), 'PONG', 'the first one')


def start_with_umask_0(arguments, data):
    before = os.umask(0)
    try:
        return serving(arguments, data).__enter__()
    finally:
        os.umask(before)


def case_files_are_for_us_alone(arguments):
    """C22: modes whatever the umask, and no descriptor for a child."""
    with folder() as data:
        one = start_with_umask_0(arguments, data)
        try:
            with one.client() as client:
                client.ask('SET', 'k', 'v')
                client.ask('SAVE')
                client.ask('BACKUP', 'x')
                for place, folders, names in os.walk(os.path.join(data, 'd')):
                    check_equal(stat.S_IMODE(os.stat(place).st_mode), 0o700, place)
                    for name in names:
                        path = os.path.join(place, name)
                        check_equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
                for fd in os.listdir('/proc/%d/fd' % one.pid):
                    with open('/proc/%d/fdinfo/%s' % (one.pid, fd), encoding='ascii') as file:
                        flags = int(re.search(r'^flags:\s*(\d+)', file.read(), re.M)[1], 8)
                    check(int(fd) <= 2 or flags & os.O_CLOEXEC,
                          'descriptor %s would be inherited: %s', fd,
                          os.readlink('/proc/%d/fd/%s' % (one.pid, fd)))
        finally:
            one.__exit__()


def filled(arguments, data):
    """A directory with a snapshot and a log that was ended by a kill."""
    with serving(arguments, data) as one, one.client() as client:
        client.ask('SET', 'first', 'v' * 100)
        client.ask('SAVE')
        for i in range(200):
            client.ask('SET', 'k%d' % i, 'v' * 100)
        client.ask('WAITAOF', 1, 0, 0)
        for i in range(20):
            client.ask('SET', 'l%d' % i, 'v' * 100)
        client.ask('WAITAOF', 1, 0, 0)
        kill(one)


def damage(path, offset):
    with open(path, 'r+b') as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def case_a_symbolic_link_is_no_data_file(arguments):
    with folder() as data:
        filled(arguments, data)
        path = os.path.join(data, 'd', files(data, 'log-')[0])
        os.rename(path, os.path.join(data, 'elsewhere'))
        os.symlink(os.path.join(data, 'elsewhere'), path)
        status, said = run_to_end(arguments, data)
        check(status in (1, 3), 'exit status %d: %s', status, said)
        check(os.path.islink(path), 'the link was replaced')


def case_damage_is_refused_with_the_way_to_repair(arguments):
    for prefix in ('log-', 'snap-', 'MANIFEST'):
        with folder() as data:
            filled(arguments, data)
            name = 'MANIFEST' if prefix == 'MANIFEST' else files(data, prefix)[0]
            path = os.path.join(data, 'd', name)
            damage(path, 60 if prefix == 'MANIFEST' else 4096 + 80)
            before = {each: os.stat(os.path.join(data, 'd', each)).st_mtime_ns
                      for each in files(data, '')}
            status, said = run_to_end(arguments, data)
            check_equal(status, EXIT_CORRUPT, 'exit status of %s: %s' % (name, said))
            advice = 'put back the one of a backup' if name == 'MANIFEST' else 'memento-check'
            check(advice in said and name in said, 'advice: %s', said)
            check('[ERR]' in said and 'stopping' not in said, 'traces: %s', said)
            after = {each: os.stat(os.path.join(data, 'd', each)).st_mtime_ns
                     for each in files(data, '')}
            check_equal(after, before, 'files')


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def case_a_newer_format_is_refused(arguments):
    with folder() as data:
        filled(arguments, data)
        path = os.path.join(data, 'd', 'MANIFEST')
        with open(path, encoding='ascii') as file:
            text = file.read()
        text = text[:text.rindex('crc ')].replace('memento-manifest 1', 'memento-manifest 2')
        with open(path, 'w', encoding='ascii') as file:
            file.write('%scrc %08x\n' % (text, crc32c(text.encode())))
        status, said = run_to_end(arguments, data)
        check_equal(status, EXIT_NEWER, 'exit status: %s' % said)


def case_a_torn_end_is_cut_off_and_told(arguments):
    with folder() as data:
        filled(arguments, data)
        last = os.path.join(data, 'd', files(data, 'log-')[-1])
        used = 0
        for name in files(data, 'log-'):
            with open(os.path.join(data, 'd', name), 'rb') as file:
                content = file.read()
            end = len(content.rstrip(b'\0'))
            if end > 4096:
                last, used = os.path.join(data, 'd', name), end
        with open(last, 'r+b') as file:
            file.seek((used + 7) // 8 * 8 + 64)
            file.write(b'torn')
        with serving(arguments, data) as one, one.client() as client:
            check_equal(client.ask('GET', 'l19'), b'v' * 100, 'GET')
            check('WRN' in one.output(), 'no warning: %s', one.output())


# ---- when the disk does not do its part ----


def limit_files(one, limit_bytes):
    """From now on the server's files may not be written beyond this: writes fail with EFBIG."""
    resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))


def case_a_failed_log_stops_writes_and_reopens(arguments):
    for policy in POLICIES:
        with folder() as data:
            with serving(arguments, data, '--fsync-policy', policy) as one:
                with one.client() as client, one.client() as text:
                    client.ask('SET', 'k', 'v')
                    limit_files(one, 4096)
                    replies = client.pipeline([('ECHO', 'before'), ('SET', 'k', 'lost'),
                                               ('INCR', 'n'), ('ECHO', 'x')])
                    check_equal(replies[0], b'before', 'what stands before the write')
                    check(str(replies[1]).startswith('MISCONF outcome unknown'),
                          '%s: %s', policy, replies)
                    check_equal(one.info()['log_state'], 'failed', 'log_state')
                    check(str(client.ask('SET', 'k', 'w')).startswith('MISCONF the log failed'),
                          'SET')
                    check(str(client.ask('DEL', 'k')).startswith('MISCONF'), 'DEL')
                    replies = client.pipeline([('MULTI',), ('SET', 'k', 'w'), ('EXEC',)])
                    check(replies[2].startswith('EXECABORT'), 'EXEC: %s', replies)
                    check_equal(client.ask('GET', 'none'), None, 'GET')
                    text.send_bytes(b'set k w\r\n')
                    check(text.read_line().startswith(b'(error) MISCONF'), 'as text')
                    limit_files(one, resource.RLIM_INFINITY)
                    check_equal(client.ask('LOG', 'REOPEN'), 'OK', 'LOG REOPEN')
                    check_equal(client.ask('SET', 'k', 'again'), 'OK', 'SET')
            with serving(arguments, data) as one, one.client() as client:
                check_equal(client.ask('GET', 'k'), b'again', 'GET')


def case_a_queued_transaction_is_refused_by_a_failed_log(arguments):
    with folder() as data, serving(arguments, data) as one:
        with one.client() as client, one.client() as other:
            client.pipeline([('MULTI',), ('SET', 'k', 'v')])
            other.pipeline([('MULTI',), ('GET', 'k')])
            limit_files(one, 4096)
            with one.client() as third:
                check(str(third.ask('SET', 'x', 1)).startswith('MISCONF'), 'SET')
            check(client.ask('EXEC').startswith('EXECABORT Transaction discarded because of: '
                                                'the log failed'), 'EXEC that writes')
            check_equal(other.ask('EXEC'), [None], 'EXEC that reads')
            limit_files(one, resource.RLIM_INFINITY)
            check_equal(client.ask('LOG', 'REOPEN'), 'OK', 'LOG REOPEN')


def case_a_failed_log_may_end_the_server(arguments):
    with folder() as data:
        one = serving(arguments, data, '--on-log-failure', 'exit').__enter__()
        try:
            with one.client() as client:
                limit_files(one, 4096)
                client.send('SET', 'k', 'v')
                check_equal(one.process.wait(server.PATIENCE_S), 1, 'exit status')
        finally:
            one.kill()
            shutil.rmtree(one.folder, ignore_errors=True)


def case_the_clock_set_back_brings_nothing_back(arguments):
    """C18, with libfaketime where it is installed."""
    program = server.need_program('faketime')
    with folder() as data:
        with serving(arguments, data) as one, one.client() as client:
            client.ask('SET', 'k', 'v', 'PX', 50)
            wait_until(lambda: client.ask('EXISTS', 'k') == 0, 'the key is gone')
            client.ask('SET', 'lives', 'v')
        one = serving(arguments, data)
        one.arguments = lambda: [program, '-f', '-3600s', os.path.abspath(arguments.server),
                                 '--port', str(one.port), '--bind', '127.0.0.1', '--dir',
                                 os.path.join(data, 'd'), *WORKERS]
        with one, one.client() as client:
            check_equal(client.ask('EXISTS', 'k'), 0, 'the key that had expired')
            check_equal(client.ask('GET', 'lives'), b'v', 'the other')


server.main(__name__)
