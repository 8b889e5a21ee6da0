"""memento-benchmark: the classic report, its options, and that it notices what goes wrong.

Most cases run against memento-server; those that need a server to misbehave, or to remember
what it was asked, bring one of a few lines (Puppet)."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import server
from server import Server, check, check_equal, free_port, run


def bench(arguments, where, *options, env=None, seconds=server.PATIENCE_S):
    """Runs it against a Server or a Puppet."""
    command = [arguments.benchmark, '-h', where.address[0], '-p', where.address[1], *options]
    return run(command, env=env, seconds=seconds)


def bench_json(arguments, where, *options, status=0, **more):
    done = bench(arguments, where, '--json', *options, **more)
    check(done.returncode == status, 'exit %d: %s %s', done.returncode, done.stdout,
          done.stderr)
    return json.loads(done.stdout)


class Puppet:
    """A RESP server whose replies the test makes up: reply(words) gives bytes, or None to
    close the connection. With `cut`, they leave one byte at a time."""

    def __init__(self, reply, cut=False):
        self.reply, self.cut = reply, cut
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = self.listener.getsockname()
        self.seen = {}  # of each connection, its requests

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            for number in range(1000):
                sock, _ = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.seen[number] = []
                threading.Thread(target=self.serve, args=(sock, self.seen[number]),
                                 daemon=True).start()

    def serve(self, sock, seen):
        with sock, contextlib.suppress(OSError, ValueError):
            stream = sock.makefile('rb')
            while True:
                head = stream.readline()
                if not head:
                    return
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2])
                answer = b'+PONG\r\n' if words == [b'PING'] else self.reply(words)
                if words != [b'PING']:
                    seen.append(words)
                if answer is None:
                    return
                for at in range(0, len(answer), 1 if self.cut else len(answer)):
                    sock.sendall(answer[at:at + 1] if self.cut else answer)


LINE = r'Elapsed time: \d+\.\d{6} s  Op/s: \d+\.\d{2}'
OPENING = '''
 Nr. operations 100000

 1) SET keyone valueone
 2) GET keyone
 3) SET with growing keys
 4) All previous operations in 10 threads, each one performing 8000 requests per type

'''


def case_the_classic_report_has_its_form(arguments):
    with Server(arguments.server) as memento:
        done = run([arguments.benchmark, *memento.address], seconds=280)
        check_equal(done.returncode, 0, 'the exit status (%s)' % done.stderr)
        text = done.stdout.decode()
        check(text.startswith(OPENING), 'it opens with %r', text[:300])
        lines = text[len(OPENING):].split('\n')
        wanted = [r' \[%s\] - %s' % (name, LINE) for name in ('SET', 'GET', 'SET')]
        wanted.append(' -{69}')
        for thread in range(1, 11):
            wanted += [r' \[%s\] - Thread: %d - %s' % (name, thread, LINE)
                       for name in ('SET', 'GET', 'SET')]
        wanted += ['', '']
        check_equal(len(lines), len(wanted), 'the number of lines')
        for line, pattern in zip(lines, wanted):
            check(re.fullmatch(pattern, line), '%r is not %r', line, pattern)
        with memento.client() as client:
            check_equal(client.ask('GET', 'keyone'), b'valueone', 'keyone')
            check_equal(client.ask('GET', 'key99999'), b'value99999', 'the last growing key')
            check_equal(client.ask('DBSIZE'), 100001, 'the keys there are')


def case_load_sets_every_key_once(arguments):
    with Server(arguments.server) as memento:
        result = bench_json(arguments, memento, '--load', '-n', 0, '-r', '12345', '-d', 20,
                            '-c', 7, '-t', 3, '-P', 16)
        check_equal(result['load']['requests'], 12345, 'requests')
        check_equal(result['load']['set']['requests'], 12345, 'SETs')
        check_equal(result['run'], None, 'the run')
        with memento.client() as client:
            check_equal(client.ask('DBSIZE'), 12345, 'keys')
            check_equal(client.ask('STRLEN', 'key:000000012344'), 20, 'the last value')
            check_equal(client.ask('STRLEN', 'key:000000000000'), 20, 'the first value')


def case_a_run_counts_what_it_asked_for(arguments):
    with Server(arguments.server) as memento:
        result = bench_json(arguments, memento, '--load', '-n', 20001, '-r', '1k', '-P', 10,
                            '--ratio', '3:1', '-c', 6, '-t', 2, '--pid', memento.pid)
        ran = result['run']
        check_equal(ran['requests'], 20001, 'requests')
        check_equal(ran['get']['requests'] + ran['set']['requests'], 20001, 'the kinds')
        share = ran['get']['requests'] / 20001
        check(0.72 < share < 0.78, '%f of all were GET', share)
        check_equal(ran['get']['misses'], 0, 'misses')
        check_equal(ran['errors'], 0, 'errors')
        check(ran['server_cpu'] is not None, 'no CPU time of the server')
        for kind in ('get', 'set'):
            times = ran[kind]['latency_us']
            check(0 < times['p50'] <= times['p90'] <= times['p99'] <= times['p99.9'] <=
                  times['max'], 'percentiles out of order: %s', times)
        with memento.client() as client:
            stats = memento.info('stats')
            check(int(stats['total_commands_processed']) >= 21001, 'the server counted %s',
                  stats['total_commands_processed'])
            check_equal(client.ask('DBSIZE'), 1000, 'keys')


def case_without_pid_there_is_no_server_time(arguments):
    with Server(arguments.server) as memento:
        result = bench_json(arguments, memento, '-n', 100)
        check_equal(result['run']['server_cpu'], None, 'server_cpu')
        check_equal(result['run']['get']['misses'], 100, 'misses on an empty server')


def case_every_dialect_verifies(arguments):
    with Server(arguments.server) as memento:
        for dialect in ('resp2', 'resp3', 'text'):
            for value_size in (1, 15, 16, 700, 70000):
                result = bench_json(arguments, memento, '--load', '-n', 3000, '-r', 300,
                                    '-P', 20, '--verify', '--ratio', '1:1', '-c', 5, '-d',
                                    value_size, '--protocol', dialect)
                check_equal(result['run']['errors'], 0, dialect)
                check_equal(result['run']['get']['misses'], 0, dialect)


def case_memcached_verifies(arguments):
    program = server.need_program('memcached')
    port = free_port()
    user = ['-u', 'root'] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, '-l', '127.0.0.1', '-p', str(port), '-U', '0',
                                *user], stderr=subprocess.DEVNULL)
    try:
        memcached = type('Memcached', (), {'address': ('127.0.0.1', port)})
        server.wait_until(lambda: answers(memcached.address), 'memcached answers')
        result = bench_json(arguments, memcached, '--load', '-n', 5000, '-r', 500, '-P', 20,
                            '--verify', '--ratio', '1:1', '--protocol', 'memcached')
        check_equal(result['run']['requests'], 5000, 'requests')
        check_equal(result['run']['errors'], 0, 'errors')
        missed = bench_json(arguments, memcached, '-n', 50, '--key-prefix', 'none:',
                            '--protocol', 'memcached')
        check_equal(missed['run']['get']['misses'], 50, 'misses')
    finally:
        process.terminate()
        process.wait()


def answers(address):
    try:
        socket.create_connection(address, 1).close()
        return True
    except OSError:
        return False


def case_a_wrong_value_is_found(arguments):
    with Server(arguments.server) as memento:
        load = ['-r', 10, '--verify', '-P', 5]
        bench_json(arguments, memento, *load, '--load', '-n', 1000)
        with memento.client() as client:
            value = client.ask('GET', 'key:000000000003')
            changed = bytes([value[0] ^ 1]) + value[1:]
            client.ask('SET', 'key:000000000003', changed)
            found = bench_json(arguments, memento, *load, '-n', 1000, status=1)['run']
            check(found['get']['wrong'] > 0, 'nothing was wrong')
            check_equal(found['errors'], found['get']['wrong'], 'errors')
            client.ask('SET', 'key:000000000003', value)
            bench_json(arguments, memento, *load, '-n', 1000)


def case_a_lost_key_is_an_error_when_all_were_set(arguments):
    forgetful = {b'SET': b'+OK\r\n', b'GET': b'$-1\r\n'}
    with Puppet(lambda words: forgetful[words[0]]) as puppet:
        result = bench_json(arguments, puppet, '--load', '--verify', '-r', 10, '-n', 40,
                            status=1)
        check_equal(result['run']['get']['wrong'], 40, 'wrong')
        result = bench_json(arguments, puppet, '--verify', '-r', 10, '-n', 40)
        check_equal(result['run']['get']['misses'], 40, 'misses, which are no error')


def case_refusals_are_counted_and_shown(arguments):
    with Puppet(lambda words: b'-ERR "no" such luck\r\n') as puppet:
        result = bench_json(arguments, puppet, '-n', 33, '-c', 3, '-P', 4, status=1)
        check_equal(result['run']['get']['errors'], 33, 'errors')
        check_equal(result['run']['first_error'], '-ERR "no" such luck', 'the first error')
        done = bench(arguments, puppet, '-n', 33)
        check_equal(done.returncode, 1, 'exit status')
        check(b'33 refused' in done.stdout and b'such luck' in done.stdout, '%s', done.stdout)


def case_a_lost_connection_is_an_error(arguments):
    with Puppet(lambda words: None) as puppet:
        result = bench_json(arguments, puppet, '-n', 100, '-c', 4, status=1)
        check_equal(result['run']['lost_connections'], 4, 'lost')
    with Puppet(lambda words: b'what?\r\n') as puppet:
        result = bench_json(arguments, puppet, '-n', 100, '-c', 1, status=1)
        check_equal(result['run']['lost_connections'], 1, 'lost after nonsense')
    with Puppet(lambda words: b'+OK\r\n+OK\r\n') as puppet:
        result = bench_json(arguments, puppet, '-n', 100, '-c', 1, status=1)
        check_equal(result['run']['lost_connections'], 1, 'lost after a reply too many')


def case_replies_may_come_byte_by_byte(arguments):
    replies = {b'GET': b'$64\r\n' + b'v' * 64 + b'\r\n', b'SET': b'+OK\r\n'}
    with Puppet(lambda words: replies[words[0]], cut=True) as puppet:
        result = bench_json(arguments, puppet, '-n', 500, '-c', 5, '-P', 7, '--ratio', '1:1')
        check_equal(result['run']['requests'], 500, 'requests')
        check_equal(result['run']['errors'], 0, 'errors')


def sequences(puppet):
    return [[words[1] for words in seen] for seen in puppet.seen.values() if seen]


def case_each_connection_has_its_own_sequence_and_a_seed_repeats_it(arguments):
    def keys_of(seed):
        with Puppet(lambda words: b'$-1\r\n') as puppet:
            bench_json(arguments, puppet, '-n', 400, '-c', 4, '-P', 100, '-r', 10000,
                       '--seed', seed)
            return sequences(puppet)

    first = keys_of(7)
    check_equal([len(keys) for keys in first], [100] * 4, 'requests of each connection')
    flat = [key for keys in first for key in keys]
    check(all(re.fullmatch(rb'key:00000000\d{4}', key) for key in flat), 'keys: %s', flat[:9])
    check_equal(len({tuple(keys) for keys in first}), 4, 'different sequences')
    check(len(set(flat)) > 380, 'only %d different keys of 400', len(set(flat)))
    check_equal(sorted(keys_of(7)), sorted(first), 'the same seed again')
    check(sorted(keys_of(8)) != sorted(first), 'another seed gives the same keys')


def case_keys_have_the_form_that_was_asked_for(arguments):
    with Puppet(lambda words: b'+OK\r\n') as puppet:
        bench_json(arguments, puppet, '--load', '-n', 0, '-r', 101, '-d', 3, '--key-size', 9,
                   '--key-prefix', 'ab:', '-c', 2)
        keys = sorted(key for keys in sequences(puppet) for key in keys)
        check_equal(keys, [b'ab:%06d' % i for i in range(101)], 'keys')


def case_seconds_and_warmup(arguments):
    with Server(arguments.server) as memento:
        result = bench_json(arguments, memento, '--seconds', 0.3, '--warmup', 0.2, '-c', 4)
        check(result['run']['requests'] > 0, 'nothing was asked')
        check(result['run']['seconds'] >= 0.3, 'it ran for %f s', result['run']['seconds'])


def case_csv_and_quiet(arguments):
    with Server(arguments.server) as memento:
        done = bench(arguments, memento, '--load', '-r', 100, '-n', 500, '--csv', '--ratio',
                     '1:1')
        rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
        check_equal([(row['phase'], row['operation']) for row in rows],
                    [('load', 'SET'), ('run', 'GET'), ('run', 'SET')], 'rows')
        check_equal(sum(int(row['requests']) for row in rows), 600, 'requests')
        done = bench(arguments, memento, '-n', 500, '-q')
        check(re.fullmatch(rb'run GET: [0-9.]+ op/s, p50 [0-9.]+ us, p99 [0-9.]+ us\n',
                           done.stdout), '%s', done.stdout)
        check_equal(done.stderr, b'', 'progress where no terminal is')


def case_a_password_opens_the_door(arguments):
    with Server(arguments.server, '--requirepass', 'open "it"') as memento:
        for dialect in ('resp2', 'resp3', 'text'):
            options = ['-n', 100, '--protocol', dialect]
            bench_json(arguments, memento, *options, '-a', 'open "it"')
            bench_json(arguments, memento, *options,
                       env=dict(os.environ, MEMENTO_AUTH='open "it"'))
            for wrong in ([], ['-a', 'shut']):
                done = bench(arguments, memento, *options, *wrong)
                check_equal(done.returncode, 1, '%s %s: exit status' % (dialect, wrong))
                check(b'NOAUTH' in done.stderr or b'WRONGPASS' in done.stderr, '%s',
                      done.stderr)


def case_a_unix_socket(arguments):
    with Server(arguments.server, '--unixsocket', 'socket') as memento:
        path = memento.unix_path()
        server.wait_until(lambda: os.path.exists(path), 'the socket is there')
        done = run([arguments.benchmark, '-s', path, '-n', 1000, '--json'])
        check_equal(done.returncode, 0, 'exit status (%s)' % done.stderr)
        check_equal(json.loads(done.stdout)['run']['requests'], 1000, 'requests')


def case_the_probe_reports_what_it_saw(arguments):
    with Server(arguments.server) as memento:
        bench_json(arguments, memento, '--load', '-n', 0, '-r', 100)
        seen = bench_json(arguments, memento, '--probe', '--seconds', 0.5, '-r', 100)['probe']
        check(seen['requests'] > 0, 'no requests')
        check_equal(seen['misses'], 0, 'misses')
        check_equal(seen['error'], '', 'the error')
        check_equal(seen['stalls'][0]['us'], seen['latency_us']['max'], 'the longest stall')


def case_the_probe_sees_a_stall(arguments):
    """A reply that is held back for 100 ms is one stall of at least that."""
    asked = []

    def reply(words):
        asked.append(words)
        if len(asked) == 5:
            time.sleep(0.1)
        return b'$1\r\nx\r\n'

    with Puppet(reply) as puppet:
        seen = bench_json(arguments, puppet, '--probe', '--seconds', 2)['probe']
        check(seen['latency_us']['max'] >= 100000, 'the longest: %s', seen)
        check(seen['skipped'] >= 98, 'slots skipped: %s', seen)
        check(seen['requests'] + seen['skipped'] >= 1900, 'slots: %s', seen)


def case_a_signal_ends_it_with_a_report(arguments):
    with Server(arguments.server) as memento:
        for options, part in ((['--probe'], 'probe'), (['--seconds', '1000'], 'run')):
            process = subprocess.Popen(
                [arguments.benchmark, '-h', '127.0.0.1', '-p', str(memento.port), '--json',
                 *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            commands = int(memento.info('stats')['total_commands_processed'])
            server.wait_until(lambda: int(memento.info('stats')['total_commands_processed'])
                              > commands + 100, 'the benchmark is at work')
            process.send_signal(signal.SIGTERM)
            output, errors = process.communicate(timeout=server.PATIENCE_S)
            check_equal(process.returncode, 0, 'exit status (%s)' % errors)
            check(json.loads(output)[part]['requests'] > 0, '%s', output)


def case_nobody_listens(arguments):
    done = run([arguments.benchmark, '127.0.0.1', free_port()])
    check_equal(done.returncode, 1, 'exit status')
    check(b'cannot connect' in done.stderr, '%s', done.stderr)


WRONG_COMMAND_LINES = [
    ['--nonsense'], ['-c'], ['-c', '0'], ['-c', 'many'], ['-c', '99999999'], ['-t', '51'],
    ['-p', '70000'], ['127.0.0.1', 'x'], ['127.0.0.1', '1', 'more'], ['--ratio', '1'],
    ['--ratio', '0:0'], ['--ratio', '1:-1'], ['--protocol', 'http'], ['-n', '0'],
    ['-n', '5', '--seconds', '1'], ['--seconds', '-1'], ['--seconds', 'nan'],
    ['--json', '--csv'], ['--probe', '--load'], ['--key-size', '9', '-r', '10m'],
    ['--key-prefix', 'a b'], ['-d', '1gb'], ['-P', '10000', '-d', '100kb'],
    ['--protocol', 'memcached', '--key-size', '251'], ['--protocol', 'memcached', '-a', 'x'],
    ['--pid', '999999999']]


def case_a_senseless_command_line_is_refused(arguments):
    for words in WRONG_COMMAND_LINES:
        done = run([arguments.benchmark, *words])
        check(done.returncode == 2, '%s: exit %d', words, done.returncode)
        check(done.stderr.startswith(arguments.benchmark.encode()) or
              done.stderr.startswith(b'memento-benchmark: '), '%s: %s', words, done.stderr)
        check_equal(done.stdout, b'', 'stdout of %s' % words)


def case_an_unknown_option_is_answered_with_the_nearest(arguments):
    for words, text in (
            (['--pipelien', '5'], b'unknown option --pipelien, did you mean --pipeline?'),
            (['--verfy=1'], b'unknown option --verfy, did you mean --verify?'),
            (['--nonsense'], b'unknown option --nonsense; '), (['-Z'], b'unknown option -Z; '),
            (['-c'], b'--connections needs a N; '), (['--load=1'], b'--load takes no value; ')):
        done = run([arguments.benchmark, *words])
        check_equal(done.returncode, 2, 'exit status of %s' % words)
        check(done.stderr.startswith(b'memento-benchmark: ' + text), '%s: %s', words, done.stderr)
        check_equal(done.stderr.count(b'\n'), 1, 'lines for %s' % words)


def case_help_names_every_option(arguments):
    done = run([arguments.benchmark, '--help'])
    check_equal(done.returncode, 0, 'exit status')
    for word in ('-h', '-p', '-s', '-a', '-c', '-t', '-P', '-r', '-d', '-n', '--ratio',
                 '--load', '--seconds', '--warmup', '--seed', '--verify', '--probe', '--pid',
                 '--json', '--csv', '--protocol', '--key-size', '--key-prefix', '--quiet'):
        check(word.encode() in done.stdout, '%s is not in --help', word)
    check_equal(run([arguments.benchmark, '--version']).returncode, 0, '--version')


server.main(__name__)
