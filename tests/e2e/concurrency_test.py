#!/usr/bin/env python3
"""Many clients at once, on several workers and shards: counters are exact, transactions are
whole, and nobody sees half of anything."""

import random
import threading

import server
from server import Lost, Server, check, check_equal, is_sanitized, wait_until

WORKERS = ('--workers', '4')


def serving(arguments, *options):
    return Server(arguments.server, *WORKERS, *options)


def rounds(arguments, count):
    return count // 5 if is_sanitized(arguments.server) else count


def together(*jobs):
    """Runs the jobs in threads of their own; the first failure of any is raised."""
    failures = []
    barrier = threading.Barrier(len(jobs))

    def run(job):
        try:
            barrier.wait(server.PATIENCE_S)
            job()
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def case_counters_are_exact(arguments):
    """Eight clients in both dialects add to the same counters."""
    count = rounds(arguments, 20000)
    with serving(arguments) as a_server:
        def by_resp():
            with a_server.client() as client:
                for at in range(0, count, 100):
                    client.pipeline([('INCR', 'c%d' % ((at + i) % 7)) for i in range(100)])
                    client.pipeline([('INCRBYFLOAT', 'f', '0.5'), ('APPEND', 'log', 'x'),
                                     ('SETBIT', 'bits', at, 1)])

        def by_lines():
            with a_server.client() as client:
                for at in range(0, count, 100):
                    client.send_bytes(b''.join(b'INC c%d\n' % ((at + i) % 7)
                                               for i in range(100)) + b'INC all 3\n')
                    for _ in range(101):
                        check(client.read_line().isdigit(), 'no number')
        together(*[by_resp] * 4, *[by_lines] * 4)
        with a_server.client() as client:
            total = sum(int(client.ask('GET', 'c%d' % i)) for i in range(7))
            check_equal(total, 8 * count, 'the sum of the counters')
            check_equal(client.ask('GET', 'all'), b'%d' % (4 * 3 * count // 100), 'all')
            check_equal(client.ask('GET', 'f'), b'%d' % (4 * count // 100 // 2), 'f')
            check_equal(client.ask('STRLEN', 'log'), 4 * count // 100, 'log')
            check_equal(client.ask('BITCOUNT', 'bits'), count // 100, 'bits')


ACCOUNTS = 20
START = 1000


def transfer(client, rng):
    """Moves money between two accounts, under WATCH; gives whether it went through."""
    source, target = rng.sample(range(ACCOUNTS), 2)
    source, target = 'account:%d' % source, 'account:%d' % target
    amount = rng.randrange(1, 50)
    client.ask('WATCH', source, target)
    have, other = client.ask('MGET', source, target)
    have, other = int(have), int(other)
    if have < amount:
        client.ask('UNWATCH')
        return False
    replies = client.pipeline([('MULTI',), ('SET', source, have - amount),
                               ('SET', target, other + amount), ('INCR', 'transfers'),
                               ('EXEC',)])
    check_equal(replies[:4], ['OK', 'QUEUED', 'QUEUED', 'QUEUED'], 'MULTI')
    return replies[4] is not None


def case_transfers_keep_the_sum(arguments):
    """MULTI and WATCH over shards: money is neither made nor lost, at any moment."""
    with serving(arguments) as a_server:
        with a_server.client() as client:
            for i in range(ACCOUNTS):
                client.ask('SET', 'account:%d' % i, START)
        names = ['account:%d' % i for i in range(ACCOUNTS)]
        done = []
        finished = threading.Event()

        def move(seed):
            rng = random.Random(seed)
            went = 0
            with a_server.client() as client:
                for _ in range(rounds(arguments, 1500)):
                    went += transfer(client, rng)
            done.append(went)
            if len(done) == 4:
                finished.set()

        def audit():
            with a_server.client() as client:
                while not finished.is_set():
                    values = client.ask('MGET', *names)
                    check_equal(sum(int(v) for v in values), START * ACCOUNTS, 'MGET')
                    values = client.pipeline([('MULTI',)] + [('GET', name) for name in names]
                                             + [('EXEC',)])[-1]
                    check_equal(sum(int(v) for v in values), START * ACCOUNTS, 'EXEC')
        together(*[lambda seed=seed: move(seed) for seed in range(4)], audit)
        with a_server.client() as client:
            values = [int(value) for value in client.ask('MGET', *names)]
            check_equal(sum(values), START * ACCOUNTS, 'the sum in the end')
            check(min(values) >= 0, 'an account is overdrawn: %s', values)
            check_equal(client.ask('GET', 'transfers'), b'%d' % sum(done), 'transfers')
            check(sum(done) > 0, 'nothing went through')


def case_mset_is_seen_whole(arguments):
    """Readers always find all keys of an MSET with the same value, small and large."""
    names = ['k%d' % i for i in range(30)]
    with serving(arguments) as a_server:
        with a_server.client() as client:
            client.ask('MSET', *[word for name in names for word in (name, '0')])
        finished = threading.Event()
        running = [3]

        def write(seed):
            rng = random.Random(seed)
            with a_server.client() as client:
                for number in range(rounds(arguments, 1500)):
                    value = b'%d-%d' % (seed, number)
                    value += b'.' * rng.choice((0, 10, 100, 9000))
                    shuffled = rng.sample(names, len(names))
                    words = [word for name in shuffled for word in (name, value)]
                    check_equal(client.ask('MSET', *words), 'OK', 'MSET')
            running[0] -= 1
            if running[0] == 0:
                finished.set()

        def read():
            with a_server.client() as client:
                while not finished.is_set():
                    check_equal(len(set(client.ask('MGET', *names))), 1, 'values seen')

        def read_by_lines():
            with a_server.client() as client:
                while not finished.is_set():
                    client.send_bytes(b'MGET ' + ' '.join(names).encode() + b'\n')
                    lines = [client.read_line() for _ in range(len(names) + 1)]
                    check_equal((len(set(lines[:-1])), lines[-1]), (1, b'(end)'), 'lines')
        together(*[lambda seed=seed: write(seed) for seed in range(3)], read, read,
                 read_by_lines)


def case_exec_is_seen_whole(arguments):
    with serving(arguments) as a_server:
        finished = threading.Event()
        names = ['a', 'b', 'c', 'd']

        def write():
            with a_server.client() as client:
                for _ in range(rounds(arguments, 3000)):
                    client.pipeline([('MULTI',)] + [('INCR', name) for name in names] +
                                    [('EXEC',)])
            finished.set()

        def read():
            last = 0
            with a_server.client() as client:
                while not finished.is_set():
                    values = set(client.ask('MGET', *names))
                    check_equal(len(values), 1, 'values seen')
                    value = int(values.pop() or 0)
                    check(value >= last, 'a counter went from %d to %d', last, value)
                    last = value
        together(write, read, read)


def case_watch_lets_exactly_one_win(arguments):
    """All watch the same key and try to be first, round after round."""
    count, clients = rounds(arguments, 400), 6
    with serving(arguments) as a_server:
        barrier = threading.Barrier(clients)
        wins = []

        def compete():
            with a_server.client() as client:
                for number in range(count):
                    barrier.wait(server.PATIENCE_S)
                    check_equal(client.ask('WATCH', 'prize'), 'OK', 'WATCH')
                    barrier.wait(server.PATIENCE_S)
                    if client.pipeline([('MULTI',), ('SET', 'prize', number), ('EXEC',)])[
                            2] is not None:
                        wins.append(number)
        together(*[compete] * clients)
        check_equal(sorted(wins), list(range(count)), 'one win a round')


def case_setnx_is_a_lock(arguments):
    with serving(arguments) as a_server:
        inside = [0]

        def work():
            with a_server.client() as client:
                for _ in range(rounds(arguments, 300)):
                    while client.ask('SET', 'lock', 'mine', 'NX', 'PX', 600000) != 'OK':
                        pass
                    inside[0] += 1
                    check_equal(inside[0], 1, 'inside')
                    value = int(client.ask('GET', 'n') or 0)
                    client.ask('SET', 'n', value + 1)
                    inside[0] -= 1
                    check_equal(client.ask('DEL', 'lock'), 1, 'DEL')
        together(*[work] * 4)
        with a_server.client() as client:
            check_equal(client.ask('GET', 'n'), b'%d' % (4 * rounds(arguments, 300)), 'n')


def case_flushall_among_writes(arguments):
    """FLUSHALL is one moment: a pair that is written together is there whole or not at all."""
    with serving(arguments) as a_server:
        finished = threading.Event()

        def write(seed):
            with a_server.client() as client:
                for number in range(rounds(arguments, 3000)):
                    pair = '%d:%d' % (seed, number % 10)
                    client.ask('MSET', 'left:' + pair, number, 'right:' + pair, number)
            finished.set()

        def flush():
            with a_server.client() as client:
                while not finished.is_set():
                    check_equal(client.ask('FLUSHALL'), 'OK', 'FLUSHALL')

        def read():
            with a_server.client() as client:
                while not finished.is_set():
                    for seed in range(2):
                        for number in range(10):
                            pair = '%d:%d' % (seed, number)
                            both = client.ask('MGET', 'left:' + pair, 'right:' + pair)
                            check_equal(both[0], both[1], 'a pair')
        together(lambda: write(0), lambda: write(1), flush, read)
        with a_server.client() as client:
            client.ask('FLUSHALL')
            check_equal(client.ask('DBSIZE'), 0, 'DBSIZE')
            check_equal(client.ask('KEYS', '*'), [], 'KEYS')
            info = a_server.info()
            check('db0' not in info, 'INFO keyspace: %s', info.get('db0'))
            check_equal(int(info['memory_entries']), 0, 'memory_entries')


def case_swapdb_among_transactions(arguments):
    """Databases change places only between transactions, never inside of one."""
    with serving(arguments) as a_server:
        with a_server.client() as client:
            for db in range(2):
                client.ask('SELECT', db)
                client.ask('MSET', 'a', db, 'b', db, 'c', db)
        finished = threading.Event()

        def swap():
            with a_server.client() as client:
                for _ in range(rounds(arguments, 5000)):
                    check_equal(client.ask('SWAPDB', '0', '1'), 'OK', 'SWAPDB')
            finished.set()

        def read(db):
            with a_server.client() as client:
                client.ask('SELECT', db)
                while not finished.is_set():
                    values = client.pipeline([('MULTI',), ('GET', 'a'), ('GET', 'b'),
                                              ('INCR', 'n'), ('GET', 'c'), ('EXEC',)])[-1]
                    check_equal(len({values[0], values[1], values[3]}), 1, 'EXEC')
                    check_equal(len(set(client.ask('MGET', 'a', 'b', 'c'))), 1, 'MGET')
        together(swap, lambda: read(0), lambda: read(1), lambda: read(0))


def case_one_shard_for_everybody(arguments):
    """All keys behind one lock; and more shards than keys."""
    for shards in (1, 4096):
        with serving(arguments, '--shards', shards) as a_server:
            count = rounds(arguments, 2000)

            def work(seed, a_server=a_server, count=count):
                rng = random.Random(seed)
                with a_server.client() as client:
                    for _ in range(count // 100):
                        client.pipeline([
                            rng.choice((('INCR', 'n'), ('INC', 'n')))
                            if i % 2 else ('SET', 'k%d' % rng.randrange(50),
                                           'v' * rng.randrange(20000))
                            for i in range(100)])
                        client.pipeline([('MULTI',), ('INCR', 'm'), ('DEL', 'k1', 'k2', 'k3'),
                                         ('EXEC',)])
            together(*[lambda seed=seed: work(seed) for seed in range(4)])
            with a_server.client() as client:
                check_equal(client.ask('GET', 'n'), b'%d' % (4 * 50 * (count // 100)), 'n')
                check_equal(client.ask('GET', 'm'), b'%d' % (4 * (count // 100)), 'm')
                check_equal(client.ask('DBSIZE'), len(client.ask('KEYS', '*')), 'DBSIZE')


def case_clients_are_killed_while_they_work(arguments):
    with serving(arguments) as a_server:
        finished = threading.Event()

        def work():
            try:
                while not finished.is_set():
                    client = a_server.client()
                    try:
                        while not finished.is_set():
                            client.pipeline([('WATCH', 'k'), ('MULTI',), ('INCR', 'k'),
                                             ('SET', 'large', 'v' * 50000), ('EXEC',),
                                             ('GET', 'large')])
                    except (Lost, OSError):
                        pass
                    client.close()
            finally:
                finished.set()

        def kill():
            with a_server.client() as client:
                own = client.ask('CLIENT', 'ID')
                killed = 0
                for _ in range(rounds(arguments, 1000)):
                    lines = client.ask('CLIENT', 'LIST').decode().splitlines()
                    ids = [int(line.split(' ')[0][3:]) for line in lines]
                    for name in ids:
                        if name != own:
                            killed += client.ask('CLIENT', 'KILL', 'ID', name)
                check(killed > 0, 'nobody was killed')
            finished.set()
        together(work, work, work, kill)
        with a_server.client() as client:
            wait_until(lambda: len(client.ask('CLIENT', 'LIST').splitlines()) == 1, 'all left')
            check_equal(client.ask('PING'), 'PONG', 'PING')


def case_the_server_ends_among_writes(arguments):
    """What was answered was done; nothing hangs, and the exit status is 0."""
    for how in ('SIGTERM', 'SHUTDOWN'):
        with serving(arguments) as a_server:
            started = threading.Barrier(5)

            def work(a_server=a_server, started=started):
                with a_server.client() as client:
                    started.wait(server.PATIENCE_S)
                    try:
                        while True:
                            client.pipeline([('INCR', 'n'), ('SET', 'k', 'v' * 30000),
                                             ('MGET', 'k', 'k')] * 20)
                    except (Lost, OSError):
                        pass

            def end(a_server=a_server, started=started, how=how):
                started.wait(server.PATIENCE_S)
                with a_server.client() as client:
                    wait_until(lambda: int(client.ask('GET', 'n') or 0) > 100, 'work')
                    if how == 'SHUTDOWN':
                        client.send('SHUTDOWN')
                        a_server.wait_for_end()
                    else:
                        a_server.stop()
            together(work, work, work, work, end)


def case_scan_finds_what_stays(arguments):
    """While other keys come and go, every key that stays is found by every walk."""
    with serving(arguments) as a_server:
        stays = {b'stays:%d' % i for i in range(3000)}
        with a_server.client() as client:
            client.pipeline([('SET', name, '1') for name in stays])
        finished = threading.Event()

        def disturb():
            rng = random.Random(1)
            with a_server.client() as client:
                while not finished.is_set():
                    client.pipeline([rng.choice((('SET', name, 'x' * rng.randrange(300)),
                                                 ('DEL', name)))
                                     for name in ('goes:%d' % rng.randrange(20000)
                                                  for _ in range(100))])

        def walk():
            with a_server.client() as client:
                try:
                    for _ in range(rounds(arguments, 15)):
                        cursor, found = b'0', set()
                        while True:
                            cursor, names = client.ask('SCAN', cursor, 'COUNT', '200')
                            found.update(names)
                            if cursor == b'0':
                                break
                        check(stays <= found, '%d keys were missed', len(stays - found))
                finally:
                    finished.set()
        together(disturb, disturb, walk)


def case_large_values_are_never_torn(arguments):
    """Writers store values of one letter each; whoever reads finds one letter only."""
    with serving(arguments) as a_server:
        finished = threading.Event()

        def write(letter):
            rng = random.Random(letter)
            with a_server.client() as client:
                for _ in range(rounds(arguments, 1000)):
                    size = rng.choice((100, 8000, 8192, 9000, 20000, 100000))
                    client.ask('SET', 'k', letter * size)
            finished.set()

        def read():
            with a_server.client() as client:
                while not finished.is_set():
                    value = client.ask('GET', 'k')
                    check(value is None or len(set(value)) == 1, 'a torn value: %s', value)
        together(*[lambda letter=letter: write(letter) for letter in 'abc'], read, read)


def case_clients_come_and_go(arguments):
    """Storms of connections, some of which leave in the middle of a request."""
    with serving(arguments) as a_server:
        count = rounds(arguments, 1000)

        def storm(seed):
            rng = random.Random(seed)
            for _ in range(count):
                client = a_server.client()
                way = rng.randrange(4)
                if way == 0:
                    check(client.ask('INCR', 'n') > 0, 'INCR')
                elif way == 1:
                    client.send_bytes(b'*2\r\n$3\r\nGET\r\n')
                elif way == 2:
                    client.send_bytes(b'WATCH n\nMULTI\nINC n\n')
                elif client.ask('QUIT') == 'OK':
                    try:
                        client.ask('PING')
                        check(False, 'served behind QUIT')
                    except (Lost, OSError):
                        pass
                client.close()

        def work():
            with a_server.client() as client:
                for number in range(count):
                    check_equal(client.ask('INCR', 'steady'), number + 1, 'steady')
        together(*[lambda seed=seed: storm(seed) for seed in range(4)], work)
        wait_until(lambda: a_server.info('clients')['connected_clients'] == '1',
                   'all had left')


def case_many_connections_at_once(arguments):
    with serving(arguments) as a_server:
        clients = [a_server.client() for _ in range(400)]
        for number, client in enumerate(clients):
            client.send('INCR', 'n')
            client.send('SET', 'k%d' % number, number)
        for number, client in enumerate(clients):
            check(1 <= client.read() <= 400, 'INCR')
            check_equal(client.read(), 'OK', 'SET')
        check_equal(clients[0].ask('GET', 'n'), b'400', 'n')
        check_equal(clients[1].ask('DBSIZE'), 401, 'DBSIZE')
        workers = {line.split(b' ')[0] for line in
                   clients[2].ask('CLIENT', 'LIST').splitlines()}
        check_equal(len(workers), 400, 'CLIENT LIST')
        for client in clients:
            client.close()


def case_verified_load_from_many_processes(arguments):
    """Values are derived from their keys, so whoever wrote a key, everybody can check it."""
    count = rounds(arguments, 200000)
    with serving(arguments) as a_server:
        def load(value_bytes, seed):
            process = server.run([
                arguments.benchmark, '-h', '127.0.0.1', '-p', a_server.port, '--verify',
                '--ratio', '1:1', '-c', 20, '-P', 8, '-n', count, '-r', 3000,
                '-d', value_bytes, '--seed', seed, '--key-prefix', 'd%d:' % value_bytes])
            check_equal(process.returncode, 0, 'memento-benchmark: %s %s' % (
                process.stdout, process.stderr))
        together(lambda: load(100, 1), lambda: load(100, 2), lambda: load(9000, 3),
                 lambda: load(9000, 4))
        errors = int(a_server.info('stats')['total_error_replies'])
        check_equal(errors, 0, 'error replies')


server.main(__name__)
