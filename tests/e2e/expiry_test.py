#!/usr/bin/env python3
"""Keys with a deadline: they end at it, not before, for every command, and what they held is
given back although nobody asks for them. Nothing here measures how long that takes."""

import random
import time

import server
from server import Server, check, check_equal, read_info, wait_until

WORKERS = ('--workers', '2')


def serving(arguments, *options):
    return Server(arguments.server, *WORKERS, *options)


def ask_info(client, field):
    return int(read_info(client.ask('INFO')).get(field, '0'))


def server_now_ms(client):
    seconds, microseconds = client.ask('TIME')
    return int(seconds) * 1000 + int(microseconds) // 1000


def case_a_key_lives_until_its_deadline_and_no_longer(arguments):
    """The deadline is on the server's own clock, which is asked before and after."""
    with serving(arguments) as a_server, a_server.client() as client:
        for round_number in range(20):
            key = 'k%d' % round_number
            deadline = server_now_ms(client) + 50 + round_number * 7
            check_equal(client.ask('SET', key, 'v', 'PXAT', deadline), 'OK', 'SET')
            seen_alive = 0
            while True:
                # A transaction, so that the time and the state are of one moment.
                before = server_now_ms(client)
                exists, left = client.pipeline([
                    ('MULTI',), ('EXISTS', key), ('PTTL', key), ('EXEC',)])[3]
                after = server_now_ms(client)
                check(exists or after >= deadline, 'it ended %d ms too early',
                      deadline - after)
                check(not exists or before <= deadline, 'it lived at %d ms behind its end',
                      before - deadline)
                if not exists:
                    check_equal(left, -2, 'PTTL of what is gone')
                    break
                seen_alive += 1
                check(0 <= left <= deadline - before + 1, 'PTTL is %d', left)
            check_equal(client.ask('GET', key), None, 'GET')
            check(seen_alive > 0, 'it was never seen alive')


def case_every_way_to_give_a_deadline_ends_the_key(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        now = server_now_ms(client)
        ways = [('SET', 'k', 'v', 'PX', 100), ('SET', 'k', 'v', 'EX', 1),
                ('SET', 'k', 'v', 'PXAT', now + 500), ('SETEX', 'k', 1, 'v'),
                ('PSETEX', 'k', 100, 'v'), ('PEXPIRE', 'k', 100), ('EXPIRE', 'k', 1),
                ('PEXPIREAT', 'k', now + 500), ('GETEX', 'k', 'PX', 100),
                ('SET', 'k', 'v', 'EXAT', now // 1000 + 2),
                ('EXPIREAT', 'k', now // 1000 + 2)]
        for number, words in enumerate(ways):
            key = 'k%d' % number
            client.ask('SET', key, 'v')
            client.ask(words[0], key, *words[2:])
        client.ask('SET', 'stays', 'v')
        for number, words in enumerate(ways):
            wait_until(lambda n=number: client.ask('EXISTS', 'k%d' % n) == 0,
                       '%s ended the key' % (words,))
        check_equal(client.ask('KEYS', '*'), [b'stays'], 'KEYS')
        wait_until(lambda: client.ask('DBSIZE') == 1, 'they were removed, too')


def case_a_deadline_moves_and_goes_away(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        requests = [('SET', 'persisted', 'v', 'PX', 150), ('SET', 'later', 'v', 'PX', 150),
                    ('SET', 'set', 'v', 'PX', 150), ('SET', 'kept', 'v', 'PX', 150),
                    ('SET', 'renamed', 'v', 'PX', 150), ('SET', 'copied', 'v', 'PX', 150),
                    ('SET', 'changed', '1', 'PX', 150), ('SET', 'getex', 'v', 'PX', 150),
                    ('SET', 'over', 'forever'), ('SET', 'mset', 'v', 'PX', 150),
                    ('PERSIST', 'persisted'), ('PEXPIRE', 'later', 10000000),
                    ('SET', 'set', 'new'), ('SET', 'kept', 'new', 'KEEPTTL'),
                    ('RENAME', 'renamed', 'over'), ('COPY', 'copied', 'copy'),
                    ('INCR', 'changed'), ('APPEND', 'changed', '0'),
                    ('GETEX', 'getex', 'PERSIST'), ('MSET', 'mset', 'new')]
        # Time may pass between the requests, but not 150 ms in one transaction.
        client.pipeline([('MULTI',)] + requests + [('EXEC',)])
        for key in ('kept', 'over', 'copied', 'copy', 'changed'):
            wait_until(lambda name=key: client.ask('EXISTS', name) == 0, '%s ended' % key)
        for key in ('persisted', 'set', 'getex', 'mset'):
            check_equal(client.ask('TTL', key), -1, key)
        check(0 < client.ask('TTL', 'later') <= 10000, 'later')


def case_a_dead_key_is_as_if_it_had_never_been(arguments):
    """Every command that could notice it; none does, even before it is removed."""
    cases = [(('GET', 'k'), None), (('EXISTS', 'k'), 0), (('TTL', 'k'), -2),
             (('STRLEN', 'k'), 0), (('APPEND', 'k', 'x'), 1), (('INCR', 'k'), 1),
             (('SETNX', 'k', 'x'), 1), (('SET', 'k', 'x', 'XX'), None),
             (('GETSET', 'k', 'x'), None), (('DEL', 'k'), 0), (('PERSIST', 'k'), 0),
             (('EXPIRE', 'k', '10'), 0), (('TYPE', 'k'), 'none'), (('TOUCH', 'k'), 0),
             (('RENAME', 'k', 'x'), 'ERR no such key'), (('COPY', 'k', 'x'), 0),
             (('MGET', 'k'), [None]), (('GETDEL', 'k'), None), (('KEYS', '*'), []),
             (('RANDOMKEY',), None), (('SETRANGE', 'k', '2', 'x'), 3), (('GETP', 'k'), None),
             (('MSETNX', 'k', '1'), 1), (('SETBIT', 'k', '0', '1'), 0), (('INC', 'k'), 1),
             (('GETRANGE', 'k', '0', '-1'), b''), (('OBJECT', 'ENCODING', 'k'), None),
             (('MOVE', 'k', '1'), 0), (('UNLINK', 'k'), 0), (('COUNT', '*'), 0)]
    with serving(arguments) as a_server, a_server.client() as client:
        for words, wanted in cases:
            # One turn: the sweep cannot come between the deadline and the request.
            client.ask('FLUSHALL')
            replies = client.pipeline([('SET', 'k', '5', 'PXAT', '1'), words])
            check_equal(replies, ['OK', wanted], words)
            client.ask('FLUSHALL')
            client.ask('SET', 'k', '5', 'PX', '1')
            deadline = server_now_ms(client) + 1
            while server_now_ms(client) <= deadline:
                pass
            check_equal(client.ask(*words), wanted, words)


def case_dead_keys_are_removed_although_nobody_asks(arguments):
    count = 20000
    with serving(arguments) as a_server, a_server.client() as client:
        empty = ask_info(client, 'used_memory')
        for at in range(0, count, 2000):
            client.pipeline([('SET', 'small:%d' % i, 'v' * 200, 'PX', 1 + i % 700)
                             for i in range(at, at + 2000)])
        client.pipeline([('SET', 'large:%d' % i, 'v' * 100000, 'PX', 1 + i % 700)
                         for i in range(100)])
        client.pipeline([('SET', 'stays:%d' % i, 'v') for i in range(100)])
        wait_until(lambda: client.ask('DBSIZE') == 100, 'only 100 keys were left')
        check_equal(ask_info(client, 'expired_keys'), count + 100, 'expired_keys')
        info = read_info(client.ask('INFO', 'keyspace'))['db0']
        check(info.startswith('keys=100,expires=0'), 'INFO keyspace: %s', info)
        check(ask_info(client, 'memory_entries') < 20000, 'entries still take memory')
        check_equal(ask_info(client, 'memory_large_values'), 0, 'large values')
        used = ask_info(client, 'used_memory')
        check(used < empty + (12 << 20), 'used_memory grew from %d to %d', empty, used)


def case_memory_stays_flat_while_keys_come_and_go(arguments):
    """The same load again and again: pages of dead keys are used again."""
    with serving(arguments) as a_server, a_server.client() as client:
        peaks = []
        for _ in range(6):
            for at in range(0, 10000, 1000):
                client.pipeline([('SET', 'k:%d' % i, 'v' * (i % 900), 'PX', 20)
                                 for i in range(at, at + 1000)])
            wait_until(lambda: client.ask('DBSIZE') == 0, 'all had gone')
            peaks.append(ask_info(client, 'used_memory'))
        check(peaks[-1] <= peaks[1] + (2 << 20), 'used_memory after each round: %s', peaks)


def case_random_deadlines_against_a_model(arguments):
    """Each key is given and taken deadlines at random; in the end those without one remain."""
    rng = random.Random(12)
    with serving(arguments) as a_server, a_server.client() as client:
        forever, requests = {}, []
        for _ in range(6000):
            key = 'k%d' % rng.randrange(500)
            way = rng.randrange(5)
            if way == 0:
                requests.append(('SET', key, key))
                forever[key] = True
            elif way == 1:
                requests.append(('SET', key, key, 'PX', 3000000))
                forever[key] = False
            elif way == 2 and key in forever:
                requests.append(('PEXPIRE', key, rng.randrange(2000000, 9000000)))
                forever[key] = False
            elif way == 3 and key in forever:
                requests.append(('PERSIST', key))
                forever[key] = True
            elif way == 4:
                requests.append(('DEL', key))
                forever.pop(key, None)
        client.pipeline(requests)
        for key, lasts in forever.items():
            check_equal(client.ask('PTTL', key) == -1, lasts, 'PTTL of %s' % key)
        dying = [key for key, lasts in forever.items() if not lasts]
        # They have long deadlines; now they get short ones, far apart.
        client.pipeline([('PEXPIRE', key, rng.choice((1, 30, 300, 900))) for key in dying])
        left = sorted(key.encode() for key, lasts in forever.items() if lasts)
        wait_until(lambda: client.ask('DBSIZE') == len(left), 'the others had gone')
        check_equal(sorted(client.ask('KEYS', '*')), left, 'KEYS')


def case_distant_deadlines(arguments):
    """Minutes, days, a hundred years: nothing ends early, and the times come back exactly."""
    with serving(arguments) as a_server, a_server.client() as client:
        now = server_now_ms(client)
        deadlines = [now + distance for distance in (
            60000, 3600000, 86400000, 86400000 * 40, 86400000 * 366, 86400000 * 36600,
            99999999999999 - now)]
        for deadline in deadlines:
            client.ask('SET', 'k%d' % deadline, 'v', 'PXAT', deadline)
        time.sleep(1.2)
        for deadline in deadlines:
            check_equal(client.ask('PEXPIRETIME', 'k%d' % deadline), deadline, 'PEXPIRETIME')
        check_equal(client.ask('DBSIZE'), len(deadlines), 'DBSIZE')


def case_databases_expire_apart(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        client.pipeline([request for db in range(16) for request in (
            ('SELECT', db), ('SET', 'k', db, *(('PX', 50) if db % 2 else ())))])
        for db in range(16):
            client.ask('SELECT', db)
            if db % 2:
                wait_until(lambda: client.ask('DBSIZE') == 0, 'database %d was empty' % db)
            else:
                check_equal(client.ask('GET', 'k'), b'%d' % db, 'database %d' % db)


server.main(__name__)
