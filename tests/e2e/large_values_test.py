#!/usr/bin/env python3
"""Values around the sizes at which something changes inside: where a value gets a block of its
own (8 KiB), where replies are sent from where they lie, reads of 16 and 256 KiB, pages of
64 KiB. Whatever happens to a key, a reply is the value at the moment its request ran."""

import itertools
import os
import random

import server
from server import Server, check, check_equal, encode, is_sanitized, wait_until

WORKERS = ('--workers', '2')
BORDERS = (1 << 12, 8192, 16384, 32768, 65536, 131072, 262144, 1 << 20)
SIZES = sorted({max(0, border + step) for border in BORDERS
                for step in (-64, -16, -9, -8, -2, -1, 0, 1, 2, 8, 9, 16, 64)} | {0, 1, 2})


def serving(arguments, *options):
    return Server(arguments.server, *WORKERS, *options)


def value_of(size, seed=0):
    return random.Random(size * 31 + seed).randbytes(size)


def case_every_size_comes_back(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        for size in SIZES:
            check_equal(client.ask('SET', 'k%d' % size, value_of(size)), 'OK', 'SET')
        for size in SIZES:
            check(client.ask('GET', 'k%d' % size) == value_of(size), 'GET of %d bytes', size)
            check_equal(client.ask('STRLEN', 'k%d' % size), size, 'STRLEN')
        values = client.ask('MGET', *['k%d' % size for size in SIZES], 'nothing')
        check(values == [value_of(size) for size in SIZES] + [None], 'MGET of all')
        check_equal(client.ask('DEL', *['k%d' % size for size in SIZES]), len(SIZES), 'DEL')
        check_equal(client.ask('DBSIZE'), 0, 'DBSIZE')


def case_every_size_as_a_line(arguments):
    """The text dialect copies and quotes what RESP sends from where it lies."""
    with serving(arguments) as a_server, a_server.client() as text, \
            a_server.client() as resp:
        for size in SIZES[1:]:
            plain = b'v' * size
            text.send_bytes(b'SET k ' + plain + b'\nGET k\n')
            check_equal(text.read_line(), b'OK', 'SET')
            check(text.read_line() == plain, 'GET of %d bytes', size)
            resp.ask('SET', 'k', b'\n' * size)
            text.send_bytes(b'GET k\r\n')
            check(text.read_line() == b'"' + b'\\n' * size + b'"', 'quoted, %d bytes', size)


def case_one_key_takes_every_size(arguments):
    """The value of one key grows and shrinks over all borders, rewritten by SET."""
    with serving(arguments) as a_server, a_server.client() as client:
        rng = random.Random(5)
        sizes = [rng.choice(SIZES) for _ in range(600)]
        requests, wanted = [], []
        for number, size in enumerate(sizes):
            requests += [('SET', 'k', value_of(size, number)), ('GET', 'k'),
                         ('STRLEN', 'k')]
            wanted += ['OK', value_of(size, number), size]
        for at in range(0, len(requests), 60):
            check(client.pipeline(requests[at:at + 60]) == wanted[at:at + 60],
                  'requests %d to %d', at, at + 60)


def case_append_and_setrange_across_the_borders(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        for border in BORDERS[:-1]:
            model = bytearray(value_of(border - 20))
            client.ask('SET', 'k', bytes(model))
            for step in (1, 5, 13, 1, 1, 30, 1000):
                more = value_of(step, border)
                model += more
                check_equal(client.ask('APPEND', 'k', more), len(model), 'APPEND')
                check(client.ask('GET', 'k') == model, 'after APPEND to %d', len(model))
            for at in (0, border - 3, border - 1, border, len(model), len(model) + 9000):
                piece = value_of(7, at)
                model += bytes(max(0, at + 7 - len(model)))
                model[at:at + 7] = piece
                check_equal(client.ask('SETRANGE', 'k', at, piece), len(model), 'SETRANGE')
                check(client.ask('GET', 'k') == model, 'after SETRANGE at %d', at)
                check(client.ask('GETRANGE', 'k', at - 5, at + 10) ==
                      (model[at - 5:at + 11] if at >= 5 else
                       model[len(model) + at - 5:at + 11]), 'GETRANGE at %d', at)
            model[:0] = b'front'
            check_equal(client.ask('PREPEND', 'k', 'front'), len(model), 'PREPEND')
            bit = (len(model) + 100) * 8
            model += bytes(100) + b'\x80'
            check_equal(client.ask('SETBIT', 'k', bit, '1'), 0, 'SETBIT')
            check(client.ask('GET', 'k') == model, 'after SETBIT')


def case_copies_and_names(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        for size in SIZES:
            value, other = value_of(size), value_of(size, 1)
            replies = client.pipeline([
                ('SET', 'a', value), ('COPY', 'a', 'b', 'REPLACE'), ('RENAME', 'a', 'c'),
                ('SET', 'a', other), ('GETSET', 'a', 'x'), ('SET', 'c', 'y', 'GET'),
                ('GET', 'b'), ('GETDEL', 'b'), ('EXISTS', 'b')])
            check(replies == ['OK', 1, 'OK', 'OK', other, value, value, value, 0],
                  'size %d', size)


def case_replies_stay_while_the_key_is_overwritten(arguments):
    """Replies wait unread in the server, while others overwrite and delete the key."""
    with serving(arguments) as a_server, a_server.client() as writer:
        for size in (8191, 8192, 8193, 20000, 65536, 1 << 20):
            count = min(400, (24 << 20) // size)
            first = value_of(size)
            writer.ask('SET', 'k', first)
            before = int(a_server.info('stats')['keyspace_hits'])
            reader = a_server.client(receive_buffer=8192)
            reader.send_bytes(encode('GET', 'k') * count)
            wait_until(lambda b=before, c=count: int(
                a_server.info('stats')['keyspace_hits']) >= b + c, 'all GETs ran')
            for words in (('SETRANGE', 'k', 0, 'overwritten'), ('APPEND', 'k', 'more'),
                          ('SETBIT', 'k', 77, 1), ('SET', 'k', value_of(size, 1)),
                          ('DEL', 'k'), ('SET', 'k', value_of(size, 2)), ('FLUSHALL',)):
                writer.ask(*words)
            writer.pipeline([('SET', 'other%d' % i, value_of(size, i)) for i in range(20)])
            for number in range(count):
                check(reader.read() == first, 'reply %d of %d bytes', number, size)
            reader.close()


def case_a_reply_is_the_value_of_its_moment(arguments):
    """In one pipeline: every GET sees what the requests before it left, and nothing later."""
    with serving(arguments) as a_server, a_server.client() as client:
        rng = random.Random(6)
        model, requests, wanted = {}, [], []
        for number in range(1500):
            key = 'k%d' % rng.randrange(6)
            way = rng.randrange(6)
            if way == 0:
                model[key] = value_of(rng.choice(SIZES[:-26]), number)
                requests.append(('SET', key, model[key]))
                wanted.append('OK')
            elif way == 1 and key in model:
                more = value_of(rng.randrange(9000), number)
                model[key] += more
                requests.append(('APPEND', key, more))
                wanted.append(len(model[key]))
            elif way == 2:
                requests.append(('DEL', key))
                wanted.append(1 if model.pop(key, None) is not None else 0)
            elif way == 3:
                keys = ['k%d' % i for i in range(6)]
                requests.append(('MGET', *keys))
                wanted.append([model.get(name) for name in keys])
            else:
                requests.append(('GET', key))
                wanted.append(model.get(key))
        for at in range(0, len(requests), 50):
            got = client.pipeline(requests[at:at + 50])
            check(got == wanted[at:at + 50], 'requests %d to %d differ', at, at + 50)


def case_transactions_with_large_values(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        value, other = value_of(100000), value_of(50000, 1)
        replies = client.pipeline([
            ('MULTI',), ('SET', 'k', value), ('GET', 'k'), ('SET', 'k', other), ('GET', 'k'),
            ('MGET', 'k', 'nothing', 'k'), ('DEL', 'k'), ('GET', 'k'), ('EXEC',)])
        check(replies[-1] == ['OK', value, 'OK', other, [other, None, other], 1, None],
              'EXEC')


def case_a_slow_reader_receives_everything(arguments):
    """Small and large replies mixed, read some bytes at a time through a small window."""
    with serving(arguments) as a_server, a_server.client() as writer:
        values = [value_of(size) for size in (10, 100000, 5000, 8193, 0, 300000, 1, 65536)]
        for number, value in enumerate(values):
            writer.ask('SET', 'k%d' % number, value)
        reader = a_server.client(receive_buffer=4096)
        order = [random.Random(8).randrange(len(values)) for _ in range(300)]
        reader.send_bytes(b''.join(encode('GET', 'k%d' % number) for number in order))
        wanted = b''.join(b'$%d\r\n%s\r\n' % (len(values[n]), values[n]) for n in order)
        rng = random.Random(9)
        got = bytearray()
        while len(got) < len(wanted):
            piece = reader.sock.recv(rng.choice((1, 10, 1000, 30000, 100000)))
            check(piece, 'closed after %d of %d bytes', len(got), len(wanted))
            got += piece
        check(got == wanted, 'the bytes differ')
        reader.close()


def case_requests_cut_at_random_bytes(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        rng = random.Random(10)
        requests, wanted = [], []
        for number in range(150):
            value = value_of(rng.choice(SIZES), number)
            requests += [('SET', 'k%d' % (number % 7), value), ('GET', 'k%d' % (number % 7)),
                         ('PING',), ('MSET', 'a', value[:100], 'b', value)]
            wanted += ['OK', value, 'PONG', 'OK']
        encoded = [encode(*words) for words in requests]
        data, ends = b''.join(encoded), list(itertools.accumulate(map(len, encoded)))
        at = reply = 0
        while at < len(data):
            size = rng.choice((1, 2, 3, 7, 100, 5000, 16384, 70000, 300000))
            client.send_bytes(data[at:at + size])
            at += size
            # Reads what can be complete, lest both sides wait for each other to read.
            while reply < len(requests) and at >= ends[reply]:
                check(client.read() == wanted[reply], 'reply %d', reply)
                reply += 1
        check_equal(reply, len(requests), 'replies')


def case_memory_is_given_back(arguments):
    """Large values that go leave nothing behind, however they went."""
    count = 10 if is_sanitized(arguments.server) else 40
    with serving(arguments) as a_server, a_server.client() as client:
        client.ask('SET', 'k', 'x')
        base = int(a_server.info('memory')['used_memory'])
        value = os.urandom(1 << 20)
        for way in (lambda i: ('DEL', 'k%d' % i), lambda i: ('SET', 'k%d' % i, 'small'),
                    lambda i: ('PEXPIRE', 'k%d' % i, 0), lambda i: ('GETDEL', 'k%d' % i),
                    lambda i: ('RENAME', 'k%d' % i, 'k')):
            client.ask('SET', 'k', 'x')
            for i in range(count):
                client.ask('SET', 'k%d' % i, value)
            used = int(a_server.info('memory')['used_memory']) - base
            check(used > count << 20, '%d values of 1 MiB use %d bytes', count, used)
            check(used < (count << 20) * 5 // 4, '%d values use %d bytes', count, used)
            for i in range(count):
                client.ask(*way(i))
            client.ask('FLUSHALL')
            used = int(a_server.info('memory')['used_memory']) - base
            check(used < 2 << 20, '%d bytes are still used', used)


server.main(__name__)
