#!/usr/bin/env python3
"""Programs and libraries that people have, against the server: redis-cli, redis-benchmark,
redis-py, hiredis, netcat, telnet, and memento's own two programs."""

import contextlib
import os
import re
import subprocess
import sys
import threading

import server
from server import (Server, Skipped, check, check_equal, encode, need_program, run,
                    wait_until)

DEBIAN_PACKAGES = '/usr/lib/python3/dist-packages'


@contextlib.contextmanager
def serving(arguments, *options):
    with Server(arguments.server, '--workers', '2', *options) as a_server:
        yield a_server


def redis_cli(a_server, *words, data=None, **options):
    return run([need_program('redis-cli'), '-p', a_server.port, *words], data=data, **options)


def text_of(process, what):
    check_equal(process.returncode, 0, '%s: exit status (%s)' % (what, process.stderr))
    return process.stdout.decode('utf-8', 'replace')


def fill(a_server, count, prefix='key:'):
    with a_server.client() as client:
        replies = client.pipeline([('SET', '%s%d' % (prefix, i), 'v' * (i % 50 + 1))
                                   for i in range(count)])
    check(all(reply == 'OK' for reply in replies), 'a SET failed')


# ---- redis-cli ----


def case_redis_cli_one_command(arguments):
    with serving(arguments) as a_server:
        def ask(*words):
            return text_of(redis_cli(a_server, *words), words)
        check_equal(ask('PING'), 'PONG\n', 'PING')
        check_equal(ask('SET', 'k', 'a b'), 'OK\n', 'SET')
        check_equal(ask('GET', 'k'), 'a b\n', 'GET')
        check_equal(ask('GET', 'nothing'), '\n', 'GET nothing')
        check_equal(ask('-3', 'INCRBYFLOAT', 'f', '1.5'), '1.5\n', 'INCRBYFLOAT')
        check_equal(ask('-n', '3', 'DBSIZE'), '0\n', 'database 3')
        check_equal(ask('-r', '5', 'INCR', 'n').split(), list('12345'), '-r 5')
        check_equal(ask('--no-raw', 'MGET', 'k', 'nothing'), '1) "a b"\n2) (nil)\n', 'MGET')
        check('redis_version:' in ask('INFO'), 'INFO')
        check_equal(redis_cli(a_server, '-e', 'NOSUCH').returncode, 1, 'an error, with -e')
        process = redis_cli(a_server, '-x', 'SET', 'bytes', data=bytes(range(256)))
        check_equal(process.stdout, b'OK\n', '-x')
        check_equal(redis_cli(a_server, 'GET', 'bytes').stdout, bytes(range(256)) + b'\n',
                    'all bytes')


def case_redis_cli_resp3(arguments):
    with serving(arguments) as a_server:
        shown = text_of(redis_cli(a_server, '-3', '--no-raw', 'CONFIG', 'GET', 'maxclients'),
                        'CONFIG GET')
        check_equal(shown, '1# "maxclients" => "10000"\n', 'a map')
        check_equal(text_of(redis_cli(a_server, '-3', '--no-raw', 'GET', 'nothing'), 'GET'),
                    '(nil)\n', 'null')
        shown = text_of(redis_cli(a_server, '-3', '--no-raw', 'HELLO'), 'HELLO')
        check('"proto" => (integer) 3' in shown, 'HELLO: %s', shown)


def case_redis_cli_lines_from_a_pipe(arguments):
    with serving(arguments) as a_server:
        lines = b''.join(b'SET k%d "value %d"\nGET k%d\n' % (i, i, i) for i in range(300))
        shown = text_of(redis_cli(a_server, data=lines), 'lines').splitlines()
        check_equal(len(shown), 600, 'replies')
        check_equal(shown[-1], 'value 299', 'the last')


def case_redis_cli_pipe(arguments):
    with serving(arguments) as a_server:
        data = b''.join(encode('SET', 'bulk:%d' % i, os.urandom(i % 300))
                        for i in range(50000)) + encode('NOSUCH')
        process = redis_cli(a_server, '--pipe', data=data)
        check(b'errors: 1, replies: 50001' in process.stdout, '--pipe: %s %s',
              process.stdout, process.stderr)
        check_equal(redis_cli(a_server, 'DBSIZE').stdout, b'50000\n', 'DBSIZE')


def case_redis_cli_scan(arguments):
    with serving(arguments) as a_server:
        fill(a_server, 5000)
        fill(a_server, 200, 'other:')
        shown = text_of(redis_cli(a_server, '--scan', '--pattern', 'other:*'), '--scan')
        check_equal(sorted(shown.split()), sorted('other:%d' % i for i in range(200)),
                    'keys by pattern')
        shown = text_of(redis_cli(a_server, '--scan'), '--scan')
        check_equal(len(set(shown.split())), 5200, 'all keys')


def case_redis_cli_bigkeys_and_memkeys(arguments):
    with serving(arguments) as a_server:
        fill(a_server, 2000)
        with a_server.client() as client:
            client.ask('SET', 'the-biggest', 'x' * 100000)
        shown = text_of(redis_cli(a_server, '--bigkeys'), '--bigkeys')
        check('Sampled 2001 keys' in shown, '--bigkeys: %s', shown)
        check(re.search(r'Biggest string found .*the-biggest.* has 100000 bytes', shown),
              '--bigkeys: %s', shown)
        shown = text_of(redis_cli(a_server, '--memkeys'), '--memkeys')
        check(re.search(r'Biggest string found .*the-biggest', shown), '--memkeys: %s', shown)


def lines_until(command, is_enough, what):
    """Runs what does not end by itself until it has printed enough."""
    with subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        os.set_blocking(process.stdout.fileno(), False)
        shown = b''

        def enough():
            nonlocal shown
            shown += process.stdout.read() or b''
            check(process.poll() is None, '%s ended: %s', what, shown)
            return is_enough(shown)
        try:
            wait_until(enough, '%s printed enough' % what)
        finally:
            process.kill()
    return shown.decode('utf-8', 'replace')


def case_redis_cli_latency_and_stat(arguments):
    with serving(arguments) as a_server:
        fill(a_server, 77)
        program = need_program('redis-cli')
        shown = lines_until([program, '-p', a_server.port, '--stat', '-i', '0.1'],
                            lambda shown: shown.count(b'\n') >= 4, '--stat')
        check(re.search(r'^77 ', shown, re.MULTILINE), '--stat: %s', shown)
        # Without a terminal, --latency prints one line and ends after its interval.
        process = run([program, '-p', a_server.port, '--raw', '-i', '0.2', '--latency'])
        check(re.match(rb'\d+ \d+ [\d.]+ \d+\n', process.stdout), '--latency: %s',
              process.stdout)


# ---- redis-benchmark ----


def case_redis_benchmark(arguments):
    with serving(arguments) as a_server:
        program = need_program('redis-benchmark')
        process = run([program, '-p', a_server.port, '-t', 'ping,set,get,incr,mset', '-P', 16,
                       '-n', 20000, '-r', 1000, '-q'])
        shown = text_of(process, 'redis-benchmark').replace('\r', '\n')
        for name in ('PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', r'MSET \(10 keys\)'):
            check(re.search(r'^%s: [\d.]+ requests per second' % name, shown, re.MULTILINE),
                  'redis-benchmark lacks %s: %s', name, shown)
        check('error' not in shown.lower(), 'redis-benchmark: %s', shown)
        check_equal(int(a_server.info('stats')['total_error_replies']), 0, 'error replies')
        commands = int(a_server.info('stats')['total_commands_processed'])
        check(commands >= 6 * 20000, 'only %d commands arrived', commands)


# ---- redis-py ----


def redis_module():
    sys.path.append(DEBIAN_PACKAGES)
    try:
        import redis  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skipped('python3-redis is not installed') from error
    return redis


def case_redis_py(arguments):
    redis = redis_module()
    with serving(arguments) as a_server:
        client = redis.Redis(port=a_server.port)
        check(client.ping(), 'ping')
        check(client.set('k', b'\x00\xff\r\n', ex=100), 'set')
        check_equal(client.get('k'), b'\x00\xff\r\n', 'get')
        check(0 < client.ttl('k') <= 100, 'ttl')
        check_equal(client.mget('k', 'nothing'), [b'\x00\xff\r\n', None], 'mget')
        check_equal(client.incrbyfloat('f', 1.5), 1.5, 'incrbyfloat')
        check_equal(client.set('k', 'x', nx=True), None, 'set nx')
        check_equal(client.getrange('k', 0, 1), b'\x00\xff', 'getrange')
        check(client.info()['redis_version'], 'info')
        check_equal(client.config_get('maxclients'), {'maxclients': '10000'}, 'config_get')
        check_equal(len(client.client_list()), 1, 'client_list')
        check_equal(client.execute_command('INC', 'n', 5), 5, 'a command it does not know')
        check('get' in client.command(), 'command')
        with contextlib.suppress(redis.ResponseError):
            client.incr('k')
            check(False, 'incr of what is no number')
        client.close()


def case_redis_py_pipelines_and_transactions(arguments):
    redis = redis_module()
    with serving(arguments) as a_server:
        client = redis.Redis(port=a_server.port, decode_responses=True)
        with client.pipeline(transaction=False) as pipe:
            for i in range(2000):
                pipe.set('k%d' % i, i)
                pipe.get('k%d' % i)
            replies = pipe.execute()
        check_equal(replies[1::2], [str(i) for i in range(2000)], 'a pipeline')
        with client.pipeline() as pipe:
            pipe.set('a', 1).incr('a').get('a')
            check_equal(pipe.execute(), [True, 2, '2'], 'a transaction')
        with client.pipeline() as pipe:
            pipe.watch('a')
            client.set('a', 'changed')
            pipe.multi()
            pipe.set('a', 'not this')
            try:
                pipe.execute()
                check(False, 'a changed key was not noticed')
            except redis.WatchError:
                pass
        check_equal(client.get('a'), 'changed', 'after WATCH')
        check_equal(client.transaction(lambda pipe: (pipe.multi(), pipe.incr('n')), 'n'),
                    [1], 'transaction')
        check_equal(len(set(client.scan_iter(match='k*', count=100))), 2000, 'scan_iter')
        check_equal(sum(1 for _ in client.scan_iter(_type='string')), 2002, 'by type')
        client.close()


def case_redis_py_password_and_unix_socket(arguments):
    redis = redis_module()
    with serving(arguments, '--requirepass', 'secret', '--unixsocket', 'socket') as a_server:
        client = redis.Redis(port=a_server.port, password='secret', db=2,
                             client_name='named')
        check_equal(client.client_getname(), 'named', 'the name')
        client.set('k', 1)
        other = redis.Redis(unix_socket_path=a_server.unix_path(), password='secret', db=2)
        check_equal(other.get('k'), b'1', 'by the unix socket')
        try:
            redis.Redis(port=a_server.port).ping()
            check(False, 'served without a password')
        except redis.AuthenticationError:
            pass
        try:
            redis.Redis(port=a_server.port, password='wrong').ping()
            check(False, 'served with a wrong password')
        except redis.ResponseError as error:
            check('WRONGPASS' in str(error), 'a wrong password: %s', error)
        client.close()
        other.close()


# ---- hiredis ----


def case_hiredis(arguments):
    compiler = need_program('cc')
    if not os.path.exists('/usr/include/hiredis/hiredis.h'):
        raise Skipped('hiredis is not installed')
    with serving(arguments) as a_server:
        program = os.path.join(a_server.folder, 'hiredis_client')
        process = run([compiler, '-O1', '-Wall', '-o', program,
                       os.path.join(server.HERE, 'hiredis_client.c'), '-lhiredis'])
        check_equal(process.returncode, 0, 'compiler (%s)' % process.stderr)
        process = run([program, a_server.port])
        check_equal((process.returncode, process.stdout), (0, b'ok\n'),
                    'hiredis_client (%s)' % process.stderr)


# ---- netcat and telnet ----


def netcat(a_server, data, *options):
    return run([need_program('nc'), *options, '127.0.0.1', a_server.port], data=data)


def case_netcat_long_pipelines(arguments):
    """Everything in one write, then a half close: every line is answered, in order."""
    with serving(arguments) as a_server:
        count = 100000
        data = b''.join(b'SET key:%d "value %d"\nGET key:%d\n' % (i, i, i)
                        for i in range(count))
        process = netcat(a_server, data, '-N')
        wanted = b''.join(b'OK\r\nvalue %d\r\n' % i for i in range(count))
        check(process.stdout == wanted, 'nc: %d bytes instead of %d, beginning with %s',
              len(process.stdout), len(wanted), process.stdout[:200])
        process = netcat(a_server, b'PING\r\nCOUNT\r\nQUIT\r\n')
        check_equal(process.stdout, b'+PONG\r\n%d\r\nOK\r\n' % count, 'QUIT ends nc')
        process = netcat(a_server, b'GET key:1\nGET key:2', '-N')
        check_equal(process.stdout, b'value 1\r\n', 'a line without its end is not run')


def case_netcat_resp(arguments):
    with serving(arguments) as a_server:
        data = b''.join(encode('INCR', 'n') for _ in range(20000))
        process = netcat(a_server, data, '-N')
        check(process.stdout == b''.join(b':%d\r\n' % (i + 1) for i in range(20000)),
              'nc: %d bytes', len(process.stdout))


def case_telnet(arguments):
    program = need_program('telnet')
    with serving(arguments) as a_server:
        with subprocess.Popen([program, '127.0.0.1', str(a_server.port)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as process:
            # Its input stays open until the server has closed: telnet leaves at its end.
            process.stdin.write(b'SET k "hello telnet"\nGET k\nQUIT\n')
            process.stdin.flush()
            limit = threading.Timer(server.PATIENCE_S, process.kill)
            limit.start()
            shown = process.stdout.read()
            limit.cancel()
        check_equal(shown.replace(b'\r', b'').split(b'\n')[-5:-1], [
            b'OK', b'hello telnet', b'OK', b'Connection closed by foreign host.'], 'telnet')


# ---- memento-cli and memento-benchmark ----


def memento_cli(arguments, a_server, *words, data=None, env=None):
    return run([arguments.cli, '-p', a_server.port, *words], data=data,
               env=dict(os.environ, **(env or {})))


def case_memento_cli(arguments):
    with serving(arguments) as a_server:
        def ask(*words):
            return text_of(memento_cli(arguments, a_server, *words), words)
        check_equal(ask('SET', 'k', 'a b'), 'OK\n', 'SET')
        check_equal(ask('GET', 'k'), 'a b\n', 'GET')
        check_equal(ask('INC', 'n', '5'), '5\n', 'INC')
        check_equal(ask('-n', '2', 'DBSIZE'), '0\n', 'database 2')
        check('k' in ask('GETP', 'k'), 'GETP')
        process = run([arguments.cli, '127.0.0.1', a_server.port, 'GET', 'k'])
        check_equal(process.stdout, b'a b\n', 'host and port as words')
        process = memento_cli(arguments, a_server, 'NOSUCH')
        check_equal(process.returncode, 1, 'exit status of an error reply')
        process = memento_cli(arguments, a_server, '-x', 'SET', 'bytes',
                              data=bytes(range(256)))
        check_equal(process.returncode, 0, '-x')
        check_equal(memento_cli(arguments, a_server, '--raw', 'GET', 'bytes').stdout,
                    bytes(range(256)) + b'\n', 'all bytes')
        shown = text_of(memento_cli(arguments, a_server,
                                    data=b'SET p 1\nINC p\nGET p\n'), 'lines')
        check_equal(shown.split(), ['OK', '2', '2'], 'lines from a pipe')
        check_equal(run([arguments.cli, '-p', 1, 'PING']).returncode, 1, 'nobody listens')
        check_equal(run([arguments.cli, '--nosuch']).returncode, 2, 'bad usage')


def case_memento_cli_pipe(arguments):
    with serving(arguments) as a_server:
        values = [os.urandom(i % 300) for i in range(20000)]
        data = b''.join(encode('SET', 'bulk:%d' % i, value)
                        for i, value in enumerate(values))
        process = memento_cli(arguments, a_server, '--pipe', data=data)
        check_equal(process.returncode, 0, '--pipe (%s %s)' % (process.stdout,
                                                               process.stderr))
        with a_server.client() as client:
            check_equal(client.pipeline([('GET', 'bulk:%d' % i) for i in range(20000)]),
                        values, 'what was stored')
        process = memento_cli(arguments, a_server, '--pipe',
                              data=b'SET a 1\nGET a\nNOSUCH\nINC a\n')
        check_equal(process.returncode, 1, '--pipe with an error among lines')
        with a_server.client() as client:
            check_equal(client.ask('GET', 'a'), b'2', 'the lines around the error')


def case_memento_cli_password(arguments):
    with serving(arguments, '--requirepass', 'secret') as a_server:
        process = memento_cli(arguments, a_server, 'DBSIZE', env={'MEMENTO_AUTH': 'secret'})
        check_equal((process.returncode, process.stdout), (0, b'0\n'), 'from the environment')
        process = memento_cli(arguments, a_server, '-a', 'secret', 'DBSIZE')
        check_equal((process.returncode, process.stdout), (0, b'0\n'), '-a')
        process = memento_cli(arguments, a_server, 'DBSIZE', env={'MEMENTO_AUTH': 'wrong'})
        check_equal(process.returncode, 1, 'a wrong password')


def case_memento_benchmark(arguments):
    with serving(arguments) as a_server:
        process = run([arguments.benchmark, '--help'])
        check_equal(process.returncode, 0, '--help')
        check(len(process.stdout) > 100, '--help printed %s', process.stdout)


def case_many_kinds_of_clients_at_once(arguments):
    """Each in its dialect, on the same keys."""
    with serving(arguments) as a_server:
        program = need_program('nc')
        processes = [subprocess.Popen([program, '-N', '127.0.0.1', str(a_server.port)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                     for _ in range(4)]
        for i, process in enumerate(processes):
            request = b'INC shared\n' if i % 2 else encode('INCR', 'shared')
            process.stdin.write(request * 5000)
            process.stdin.close()
        for process in processes:
            check_equal(process.stdout.read().count(b'\r\n'), 5000, 'replies')
            process.stdout.close()
            process.wait(server.PATIENCE_S)
        check_equal(redis_cli(a_server, 'GET', 'shared').stdout, b'20000\n', 'the counter')


server.main(__name__)
