#!/usr/bin/env python3
"""Every limit: what lies just within it works, what lies beyond is answered as the tables say,
costs the server little, and does not disturb the other clients."""

import os
import random
import resource
import signal
import socket
import struct
import time

import server
from server import (PATIENCE_S, Client, Lost, Server, check, check_equal, encode, run,
                    wait_until)

WORKERS = ('--workers', '2')
MIB = 1 << 20


def serving(arguments, *options, **more):
    return Server(arguments.server, *WORKERS, *options, **more)


def closed_with(client, data):
    """Sends it, and gives all that comes until the server closes."""
    try:
        client.send_bytes(data)
    except OSError:
        pass  # closed before it had taken everything
    return client.read_to_end()


def still_serves(a_server):
    with a_server.client() as client:
        check_equal(client.ask('PING'), 'PONG', 'another client')


# ---- connections ----


def case_one_client_too_many_is_told_and_closed(arguments):
    with serving(arguments, '--maxclients', 5) as a_server:
        # The test that the server listens was a client, too, and may not be gone yet.
        wait_until(lambda: a_server.info('clients')['connected_clients'] == '1', 'alone')
        clients = []

        def is_full():
            client = a_server.client()
            try:
                if client.ask('PING') == 'PONG':
                    clients.append(client)
                    return False
            except (Lost, OSError):
                pass
            return True
        wait_until(is_full, 'the server was full')
        check_equal(len(clients), 5, 'clients')
        with a_server.client() as client:
            check_equal(client.read_to_end(), b'-ERR max number of clients reached\r\n',
                        'the sixth')
        check_equal(clients[0].ask('INCR', 'n'), 1, 'one of the five')
        clients.pop().close()

        def is_served():
            client = a_server.client()
            try:
                return client.ask('PING') == 'PONG'
            except (Lost, OSError):
                return False
            finally:
                client.close()
        wait_until(is_served, 'there was room again')
        info = clients[0].ask('INFO', 'stats')
        check(int(server.read_info(info)['rejected_connections']) >= 1, 'INFO')
        for client in clients:
            client.close()


def case_no_descriptor_left_refuses_and_does_not_spin(arguments):
    with serving(arguments) as a_server:
        held = [a_server.client() for _ in range(10)]
        for client in held:
            check_equal(client.ask('PING'), 'PONG', 'before')
        before = resource.prlimit(a_server.pid, resource.RLIMIT_NOFILE)
        taken = a_server.descriptors_open()
        resource.prlimit(a_server.pid, resource.RLIMIT_NOFILE, (taken, before[1]))

        def is_refused():
            client = a_server.client()
            client.send(b'PING')
            held.append(client)
            try:
                return client.read() == 'ERR max number of clients reached'
            except Lost:
                return True
        for _ in range(20):
            wait_until(is_refused, 'one was refused')
        check(len(held) < 40, '%d were let in', len(held) - 30)
        waiting = [a_server.client() for _ in range(20)]
        check_equal(held[0].ask('INCR', 'n'), 1, 'those who are in')
        cpu = a_server.cpu_seconds()
        time.sleep(1.5)
        spent = a_server.cpu_seconds() - cpu
        # A loop that is woken for ever takes all of the 1.5 s.
        check(spent < 0.75, 'the server took %.2f s of CPU while nothing happened', spent)
        for client in waiting:
            client.close()
        resource.prlimit(a_server.pid, resource.RLIMIT_NOFILE, before)
        still_serves(a_server)
        for client in held:
            client.close()
        wait_until(lambda: a_server.descriptors_open() < taken, 'they were closed')


def case_few_descriptors_lower_maxclients(arguments):
    with serving(arguments, descriptors=128) as a_server:
        with a_server.client() as client:
            maxclients = int(client.ask('CONFIG', 'GET', 'maxclients')[1])
            check(0 < maxclients < 128, 'maxclients is %d with 128 descriptors', maxclients)
            check('maxclients' in a_server.output(), 'not said: %s', a_server.output())
            reply = client.ask('CONFIG', 'SET', 'maxclients', '60000')
            check(isinstance(reply, server.ErrorReply), 'CONFIG SET: %s', reply)


def case_idle_clients_are_closed(arguments):
    with serving(arguments, '--timeout', 1) as a_server:
        idle, partial, busy = (a_server.client() for _ in range(3))
        check_equal(idle.ask('PING'), 'PONG', 'PING')
        partial.send_bytes(b'*2\r\n$3\r\nGET\r\n$5\r\nab')
        ended = {}

        def both_are_closed():
            check_equal(busy.ask('PING'), 'PONG', 'the busy one')
            for client in (idle, partial):
                client.sock.setblocking(False)
                try:
                    ended[client] = client.sock.recv(1) == b''
                except BlockingIOError:
                    pass
            return len(ended) == 2 and all(ended.values())
        wait_until(both_are_closed, 'the idle clients were closed')
        check_equal(busy.ask('CONFIG', 'SET', 'timeout', '0'), 'OK', 'CONFIG SET')
        for client in (idle, partial, busy):
            client.close()


# ---- replies that nobody reads ----


def case_unread_replies_over_the_limit_cut_the_client(arguments):
    with serving(arguments, '--client-output-limit', '1mb') as a_server, \
            a_server.client() as client:
        client.ask('SET', 'k', 'v' * 8000)
        greedy = a_server.client(receive_buffer=65536)
        greedy.send_bytes(encode('GET', 'k') * 20000)
        wait_until(lambda: a_server.info('clients')['clients_cut'] == '1', 'it was counted')
        check(len(greedy.read_to_end()) < 8000 * 20000, 'all replies came')
        greedy.close()
        check('cut' in a_server.output(), 'not traced: %s', a_server.output())
        check_equal(client.ask('INCR', 'n'), 1, 'another client')


def send_without_reading(client, data, is_enough):
    """Sends as long as the server takes it and `is_enough` is not true."""
    client.sock.setblocking(False)
    limit = time.monotonic() + PATIENCE_S
    at = 0
    while at < len(data) and not is_enough():
        check(time.monotonic() < limit, 'the server neither took all nor cut the client')
        try:
            at += client.sock.send(data[at:at + 65536])
        except BlockingIOError:
            time.sleep(0.005)
        except (BrokenPipeError, ConnectionResetError):
            return False
    client.sock.settimeout(PATIENCE_S)
    return True


def case_large_values_nobody_reads_cost_no_memory(arguments):
    """A thousand replies of 16 MiB wait, and there is one copy of the value."""
    with serving(arguments) as a_server, a_server.client() as client:
        value = os.urandom(MIB) * 16
        client.ask('SET', 'large', value)
        before = a_server.rss_bytes()
        lazy = a_server.client(receive_buffer=65536)
        lazy.send_bytes(encode('GET', 'large') * 1000)

        def all_ran():
            return int(a_server.info('stats')['keyspace_hits']) >= 1000
        wait_until(all_ran, 'all GETs had run')
        grown = a_server.rss_bytes() - before
        check(grown < 48 * MIB, '1000 unread replies took %d MiB', grown // MIB)
        client.ask('DEL', 'large')
        check(lazy.read() == value, 'a reply after its key was deleted')
        lazy.close()
        check_equal(client.ask('DBSIZE'), 0, 'keys')


def case_replaced_values_that_wait_in_replies_are_limited(arguments):
    """Every reply holds another version of the value, so here they do cost memory."""
    with serving(arguments, '--client-output-limit', '8mb') as a_server, \
            a_server.client() as other:
        value = os.urandom(MIB)
        before = a_server.rss_bytes()
        client = a_server.client(receive_buffer=65536)
        most = 0

        def is_enough():
            nonlocal most
            most = max(most, a_server.rss_bytes() - before)
            return False
        request = encode('SET', 'k', value) + encode('GET', 'k')
        for _ in range(300):
            if not send_without_reading(client, request, is_enough):
                break
        check(most < 150 * MIB, 'a client that never reads made the server grow by %d MiB '
              'with a client-output-limit of 8 MiB', most // MIB)
        client.close()
        check_equal(other.ask('PING'), 'PONG', 'another client')


def case_one_request_with_enormous_replies_is_cut(arguments):
    with serving(arguments, '--client-output-limit', '1mb') as a_server, \
            a_server.client() as client:
        client.ask('SET', 'k', 'v' * 8000)
        greedy = a_server.client(receive_buffer=65536)
        greedy.send('MGET', *['k'] * 10000)
        wait_until(lambda: a_server.info('clients')['clients_cut'] == '1', 'it was cut')
        greedy.close()
        check_equal(client.ask('INCR', 'n'), 1, 'another client')


# ---- sizes ----


TOO_LONG = ('ERR string exceeds maximum allowed size (proto-max-bulk-len)')


def case_the_largest_value(arguments):
    with serving(arguments, '--proto-max-bulk-len', '1mb') as a_server, \
            a_server.client() as client:
        largest = os.urandom(MIB)
        check_equal(client.ask('SET', 'k', largest), 'OK', 'SET of the largest')
        check(client.ask('GET', 'k') == largest, 'GET of the largest')
        for words in (('APPEND', 'k', 'x'), ('PREPEND', 'k', 'x'), ('SETRANGE', 'k', MIB, 'x'),
                      ('SETRANGE', 'n', MIB, 'x'), ('SETRANGE', 'k', MIB - 1, 'xy')):
            check_equal(client.ask(*words), TOO_LONG, words[0])
        for words in (('SETBIT', 'k', MIB * 8, '1'),
                      ('BITFIELD', 'k', 'SET', 'u8', MIB * 8, '1'),
                      ('SETBIT', 'k', 1 << 40, '1')):
            check_equal(client.ask(*words),
                        'ERR bit offset is not an integer or out of range', words[0])
        check(client.ask('GET', 'k') == largest, 'the value after all that')
        check_equal(client.ask('SETRANGE', 'k', MIB - 1, 'x'), MIB, 'its last byte')
        check_equal(client.ask('SETBIT', 'k', MIB * 8 - 1, '0'), 0, 'its last bit')
        check_equal(closed_with(client, b'*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n' % (MIB + 1)),
                    b'-ERR Protocol error: invalid bulk length\r\n', 'one byte more')
        still_serves(a_server)
        check_equal(int(a_server.info('keyspace')['db0'].split(',')[0][5:]), 1, 'keys')


def case_the_largest_value_as_a_line(arguments):
    with serving(arguments, '--proto-max-bulk-len', '1mb') as a_server, \
            a_server.client() as client:
        client.send_bytes(b'SET k ' + b'v' * (MIB + 1) + b'\nEXISTS k\n')
        check_equal(client.read_line(), b'(error) ' + TOO_LONG.encode(), 'one byte more')
        check_equal(client.read_line(), b'0', 'EXISTS')


def case_a_value_of_100_mib(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        value = random.Random(7).randbytes(MIB) * 100
        check_equal(client.ask('SET', 'k', value), 'OK', 'SET')
        check_equal(client.ask('STRLEN', 'k'), len(value), 'STRLEN')
        check(client.ask('GET', 'k') == value, 'GET')
        check_equal(client.ask('GETRANGE', 'k', 50 * MIB, 50 * MIB + 9),
                    value[50 * MIB:50 * MIB + 10], 'GETRANGE')
        check_equal(client.ask('COPY', 'k', 'copy'), 1, 'COPY')
        check_equal(client.ask('DEL', 'k'), 1, 'DEL')
        check(client.ask('GETDEL', 'copy') == value, 'GETDEL of the copy')
        used = int(a_server.info('memory')['used_memory'])
        check(used < 100 * MIB, '%d bytes are still used', used)


def case_as_many_words_as_allowed(arguments):
    most = 1 << 20
    with serving(arguments) as a_server, a_server.client() as client:
        pairs = (most - 2) // 2
        words = [b'$%d\r\n%s\r\n' % (len(w), w) for i in range(pairs)
                 for w in (b'key:%d' % i, b'%d' % i)]
        client.send_bytes(b'*%d\r\n$4\r\nMSET\r\n%s' % (1 + len(words), b''.join(words)))
        check_equal(client.read(), 'OK', 'MSET of %d pairs' % pairs)
        check_equal(client.ask('DBSIZE'), pairs, 'DBSIZE')
        client.send_bytes(b'*%d\r\n$6\r\nEXISTS\r\n' % most + b'$5\r\nkey:1\r\n' * (most - 1))
        check_equal(client.read(), most - 1, 'EXISTS')
        client.send_bytes(b'*%d\r\n$3\r\nDEL\r\n' % (pairs + 1) + b''.join(words[::2]))
        check_equal(client.read(), pairs, 'DEL')
        check_equal(closed_with(client, b'*%d\r\n$3\r\nDEL\r\n' % (most + 1)),
                    b'-ERR Protocol error: invalid multibulk length\r\n', 'one word more')
        still_serves(a_server)


def case_too_many_words_in_a_line(arguments):
    most = 1 << 20
    with serving(arguments) as a_server, a_server.client() as client:
        client.send_bytes(b'EXISTS' + b' k' * (most - 1) + b'\n')
        check_equal(client.read_line(), b'0', 'as many words as allowed')
        client.send_bytes(b'EXISTS' + b' k' * most + b'\nPING x\n')
        check(client.read_line().startswith(b'(error) ERR Protocol error: too many words'),
              'one word more')
        check_equal(client.read_line(), b'x', 'the line behind')


def case_the_longest_key(arguments):
    refused = 'ERR key is longer than 65536 bytes'
    longest, longer = 'k' * 65536, 'k' * 65537
    with serving(arguments) as a_server, a_server.client() as client:
        check_equal(client.ask('SET', longest, 'v'), 'OK', 'SET')
        check_equal(client.ask('GET', longest), b'v', 'GET')
        check_equal(client.ask('KEYS', 'k*'), [longest.encode()], 'KEYS')
        check_equal(client.ask('RENAME', longest, longest[:-1] + 'x'), 'OK', 'RENAME')
        check_equal(client.ask('DEL', longest[:-1] + 'x'), 1, 'DEL')
        for words in (('SET', longer, 'v'), ('SETNX', longer, 'v'), ('APPEND', longer, 'v'),
                      ('INCR', longer), ('INC', longer), ('SETBIT', longer, '1', '1'),
                      ('MSET', 'a', '1', longer, '2'), ('SETRANGE', longer, '1', 'x'),
                      ('GETSET', longer, 'x'), ('INCRBYFLOAT', longer, '1'),
                      ('BITFIELD', longer, 'SET', 'u8', '0', '1'),
                      ('SETEX', longer, '10', 'v')):
            check_equal(client.ask(*words), refused, words[0])
        check_equal(client.ask('SET', 'b', 'v'), 'OK', 'SET b')
        for words in (('RENAME', 'b', longer), ('COPY', 'b', longer),
                      ('RENAMENX', 'b', longer), ('BITOP', 'NOT', longer, 'b')):
            check_equal(client.ask(*words), refused, words[0])
        check_equal(client.pipeline([('MULTI',), ('SET', longer, 'v'), ('EXEC',)])[2] in (
            [refused], 'EXECABORT Transaction discarded because of previous errors.'), True,
                    'in a transaction')
        # Reading what cannot be there: either answer is right, the connection lives.
        for words in (('GET', longer), ('EXISTS', longer), ('DEL', longer), ('TTL', longer)):
            check(client.ask(*words) in (None, 0, -2, refused), words[0])
        check_equal(client.ask('KEYS', '*'), [b'b'], 'keys')


def case_the_longest_pattern(arguments):
    refused = 'ERR pattern is longer than 1024 bytes'
    with serving(arguments) as a_server, a_server.client() as client:
        client.ask('SET', 'k' * 1024, 'v')
        longest = 'k' * 1024
        check_equal(client.ask('KEYS', longest), [longest.encode()], 'KEYS')
        check_equal(client.ask('KEYS', longest + '*'), refused, 'KEYS')
        check_equal(client.ask('SCAN', '0', 'MATCH', longest + '*'), refused, 'SCAN')
        check_equal(client.ask('COUNT', longest + '*'), refused, 'COUNT')
        check_equal(client.ask('COUNT', longest), 1, 'COUNT')
        # A pattern made to take exponential time elsewhere.
        client.ask('SET', 'a' * 60000, 'v')
        check_equal(client.ask('KEYS', 'a*' * 500 + 'b'), [], 'KEYS of many stars')


def case_before_the_password(arguments):
    with serving(arguments, '--requirepass', 'secret') as a_server:
        with a_server.client() as client:
            check_equal(client.ask('GET', *['k'] * 9),
                        "ERR wrong number of arguments for 'get' command", 'ten words')
            check_equal(closed_with(client, b'*11\r\n'),
                        b'-ERR Protocol error: unauthenticated multibulk length\r\n',
                        'eleven words')
        with a_server.client() as client:
            check_equal(client.ask('SET', 'k', 'v' * 16384),
                        'NOAUTH Authentication required.', 'a word of 16 KiB')
            check_equal(closed_with(client, b'*2\r\n$3\r\nGET\r\n$16385\r\n'),
                        b'-ERR Protocol error: unauthenticated bulk length\r\n',
                        'a byte more')
        with a_server.client() as client:
            client.send_bytes(b'SET k ' + b'v' * 70000 + b'\nPING\n')
            check_equal(client.read_line(),
                        b'(error) ERR Protocol error: too big inline request', 'a line')
            check_equal(client.read_line(), b'(error) NOAUTH Authentication required.',
                        'the line behind')
        with a_server.client() as client:
            # What stands behind AUTH in the same write has the limits of those who are in.
            value = 'v' * 100000
            check_equal(client.pipeline([('AUTH', 'secret'), ('SET', 'k', value),
                                         ('MGET', *['k'] * 20)]),
                        ['OK', 'OK', [value.encode()] * 20], 'behind AUTH')
            check_equal(client.ask('RESET'), 'RESET', 'RESET')
            check_equal(closed_with(client, b'*11\r\n'),
                        b'-ERR Protocol error: unauthenticated multibulk length\r\n',
                        'behind RESET')


def case_a_transaction_is_limited(arguments):
    aborted = 'EXECABORT Transaction discarded because of previous errors.'
    with serving(arguments) as a_server, a_server.client() as client:
        check_equal(client.ask('MULTI'), 'OK', 'MULTI')
        value = 'v' * MIB
        replies = client.pipeline([('SET', 'k', value)] * 66)
        check_equal(replies[:63], ['QUEUED'] * 63, 'less than 64 MiB')
        check('ERR a transaction is at most' in replies[63], 'more: %s', replies[63])
        check_equal(client.ask('EXEC'), aborted, 'EXEC')
        check_equal(client.ask('EXISTS', 'k'), 0, 'EXISTS')
        most = 1 << 20
        client.ask('MULTI')
        request = encode('PING')
        step = 1 << 15
        for _ in range(most // step):
            client.send_bytes(request * step)
            check(client.read_exactly(9 * step) == b'+QUEUED\r\n' * step, 'not queued')
        check('ERR a transaction is at most' in client.ask('PING'), 'one more')
        check_equal(client.ask('EXEC'), aborted, 'EXEC')
        check_equal(client.ask('PING'), 'PONG', 'the connection afterwards')


def case_watches_are_limited(arguments):
    with serving(arguments) as a_server, a_server.client() as client:
        check_equal(client.ask('WATCH', *['k%d' % i for i in range(16384)]), 'OK', 'WATCH')
        reply = client.ask('WATCH', 'one-more')
        check('ERR a client may watch at most 16384 keys' == reply, 'one more: %s', reply)
        check_equal(client.ask('UNWATCH'), 'OK', 'UNWATCH')
        check_equal(client.ask('WATCH', 'one-more'), 'OK', 'after UNWATCH')


# ---- clients that mean harm ----


def case_declared_lengths_cost_no_memory(arguments):
    with serving(arguments) as a_server:
        still_serves(a_server)
        before = a_server.rss_bytes()
        clients = []
        for i in range(100):
            client = a_server.client()
            client.send_bytes(b'*1048576\r\n$536870912\r\nab' if i % 2 else
                              b'*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n' + b'x' * 1000)
            clients.append(client)
        still_serves(a_server)
        time.sleep(0.3)
        grown = a_server.rss_bytes() - before
        check(grown < 40 * MIB, '100 clients that declared 512 MiB each took %d MiB',
              grown // MIB)
        for client in clients:
            client.close()


FRAMING_ERRORS = [
    (b'*x\r\n', b'invalid multibulk length'),
    (b'*1048577\r\n', b'invalid multibulk length'),
    (b'*99999999999999999999\r\n', b'invalid multibulk length'),
    (b'*1\r\n+OK\r\n', b"expected '$', got '+'"),
    (b'*1\r\n$x\r\n', b'invalid bulk length'),
    (b'*1\r\n$-1\r\n', b'invalid bulk length'),
    (b'*1\r\n$536870913\r\n', b'invalid bulk length'),
    (b'*' + b'1' * 70000, b'too big mbulk count string'),
    (b'*1\r\n$' + b'1' * 70000, b'too big bulk count string'),
]


def case_framing_errors_close_after_what_came_before(arguments):
    with serving(arguments) as a_server:
        for data, error in FRAMING_ERRORS:
            with a_server.client() as client:
                behind = b'' if error.startswith(b'too big') else b'\r\nPING\r\n'
                answer = closed_with(client, encode('INCR', 'n') * 3 + data + behind)
                check(answer.startswith(b':') and answer.endswith(
                    b'-ERR Protocol error: ' + error + b'\r\n') and
                      answer.count(b'\r\n') == 4, '%r was answered %r', data[:20], answer)
        with a_server.client() as client:
            check_equal(client.ask('GET', 'n'), b'%d' % (3 * len(FRAMING_ERRORS)), 'n')
            client.send_bytes(b'*0\r\n*-1\r\n' + encode('PING'))
            check_equal(client.read(), 'PONG', 'behind empty requests')


def case_random_bytes_do_not_disturb_others(arguments):
    rng = random.Random(99)
    with serving(arguments) as a_server, a_server.client() as good:
        for i in range(300):
            with a_server.client() as client:
                data = rng.randbytes(rng.randrange(1, 5000))
                if i % 3 == 0:
                    data = b'*' + data
                try:
                    client.send_bytes(data)
                    if i % 2:
                        client.end_sending()
                        client.read_to_end()
                except OSError:
                    pass
            check_equal(good.ask('INCR', 'n'), i + 1, 'the good client')
        check_equal(good.ask('DBSIZE'), 1, 'keys')


def hostile(rng, client):
    """One of many ways to be a nuisance."""
    way = rng.randrange(7)
    try:
        if way == 0:
            client.send_bytes(rng.randbytes(rng.randrange(1, 3000)))
        elif way == 1:
            client.send_bytes(b'*1000000\r\n' + b'$1\r\nx\r\n' * rng.randrange(1000))
        elif way == 2:
            client.send_bytes(b'GET ' + b'x' * rng.randrange(20000))
        elif way == 3:
            client.send_bytes(encode('GET', 'large') * rng.randrange(1, 200))
        elif way == 4:
            client.send_bytes(encode('SET', 'junk', 'x' * 3000)[:rng.randrange(1, 3000)])
        elif way == 5:
            client.send_bytes(b'\n' * rng.randrange(1, 5000) + b'*\r\n')
        # way 6 says nothing at all
        if rng.randrange(3) == 0:
            client.end_sending()
    except OSError:
        pass


def reset(client):
    """Closes so that the server gets ECONNRESET."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.close()


def case_a_thousand_hostile_connections(arguments):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    rng = random.Random(4)
    with serving(arguments) as a_server, a_server.client() as good:
        good.ask('SET', 'large', 'x' * 50000)
        idle = a_server.descriptors_open()
        clients = []
        for i in range(1000):
            client = a_server.client(receive_buffer=4096)
            hostile(rng, client)
            clients.append(client)
            if i % 10 == 0:
                check_equal(good.ask('INCR', 'n'), i // 10 + 1, 'the good client')
        check_equal(good.ask('GET', 'n'), b'100', 'n')
        for client in clients:
            if rng.randrange(2):
                reset(client)
            else:
                client.close()
        wait_until(lambda: a_server.descriptors_open() <= idle, 'all were closed')
        check_equal(good.ask('GET', 'large'), b'x' * 50000, 'the value')
        check(a_server.rss_bytes() < 400 * MIB, 'RSS is %d', a_server.rss_bytes())


# ---- signals and the end ----


def case_sigterm_drains_replies(arguments):
    """What has arrived is answered, also to a client that reads only now."""
    with serving(arguments) as a_server:
        client = a_server.client(receive_buffer=65536)
        count, value = 4000, os.urandom(2000)
        client.send_bytes(encode('SET', 'k', value) + encode('GET', 'k') * count +
                          encode('SET', 'large', value * 1000) + encode('GET', 'large') * 3)
        wait_until(lambda: int(a_server.info('stats')['keyspace_hits']) >= count + 3,
                   'all had run')
        a_server.process.send_signal(signal.SIGTERM)
        check_equal(client.read(), 'OK', 'SET')
        for _ in range(count):
            check(client.read() == value, 'a reply is not the value')
        check_equal(client.read(), 'OK', 'SET')
        for _ in range(3):
            check(client.read() == value * 1000, 'a large reply is not the value')
        check_equal(client.read_to_end(), b'', 'behind the last reply')
        client.close()
        a_server.wait_for_end()


def case_sigterm_does_not_wait_for_those_who_never_read(arguments):
    with serving(arguments) as a_server:
        lazy = a_server.client(receive_buffer=65536)
        lazy.send_bytes(encode('SET', 'k', 'v' * 8000) + encode('GET', 'k') * 5000)
        idle = a_server.client()
        idle.send_bytes(b'*2\r\n$3\r\nGET\r\n')
        wait_until(lambda: int(a_server.info('stats')['keyspace_hits']) >= 5000, 'all ran')
        a_server.stop()
        lazy.close()
        idle.close()


def case_sigint_ends_it_too(arguments):
    with serving(arguments) as a_server:
        still_serves(a_server)
        a_server.stop(signal.SIGINT)


def case_sighup_opens_the_trace_file_again(arguments):
    with serving(arguments, '--logfile', 'traces') as a_server:
        path = os.path.join(a_server.folder, 'traces')
        wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, 'a trace')
        os.rename(path, path + '.1')
        a_server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: os.path.exists(path), 'the file was there again')
        still_serves(a_server)
        a_server.stop()
        with open(path, encoding='utf-8') as file:
            text = file.read()
        check('ended' in text, 'the new file says: %s', text)
        with open(path + '.1', encoding='utf-8') as file:
            check('ended' not in file.read(), 'the old file was written on')


def case_sigpipe_and_clients_that_vanish(arguments):
    with serving(arguments) as a_server, a_server.client() as good:
        a_server.process.send_signal(signal.SIGPIPE)
        good.ask('SET', 'large', 'x' * 3000000)
        for i in range(200):
            client = a_server.client()
            client.send_bytes(encode('GET', 'large') * 20)
            if i % 2:
                reset(client)
            else:
                client.close()
        check_equal(good.ask('STRLEN', 'large'), 3000000, 'the good client')
        wait_until(lambda: a_server.info('clients')['connected_clients'] == '2', 'all left')


# ---- addresses ----


def case_a_unix_socket_alone(arguments):
    with Server(arguments.server, *WORKERS, '--port', '0', '--unixsocket', 'socket',
                '--unixsocketperm', '750', listen=False) as a_server:
        path = a_server.unix_path()
        wait_until(lambda: os.path.exists(path), 'the socket was there')
        check_equal(os.stat(path).st_mode & 0o777, 0o750, 'its mode')
        with Client(path) as client:
            value = os.urandom(300000)
            check_equal(client.pipeline([('SET', 'k', value), ('GET', 'k')]), ['OK', value],
                        'by the unix socket')
        a_server.stop()
        check(not os.path.exists(path), 'the socket is still there')


def case_a_stale_unix_socket_is_replaced_and_a_living_one_is_not(arguments):
    with serving(arguments, '--unixsocket', 'socket') as a_server:
        path = a_server.unix_path()
        second = run([arguments.server, '--port', 0, '--unixsocket', path])
        check_equal(second.returncode, 1, 'a second server on the socket')
        check(path.encode() in second.stderr, 'it says: %s', second.stderr)
        with Client(path) as client:
            check_equal(client.ask('PING'), 'PONG', 'the first one')
        a_server.process.kill()
        a_server.process.wait()
        a_server.exit_status = -9
        check(os.path.exists(path), 'SIGKILL leaves the socket')
        with Server(arguments.server, *WORKERS, '--port', '0', '--unixsocket', path,
                    listen=False) as third:
            wait_until(lambda: 'listening' in third.output(), 'it listened')
            with Client(path) as client:
                check_equal(client.ask('PING'), 'PONG', 'the third one')


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(('::1', 0))
        return True
    except OSError:
        return False


def case_several_addresses_and_ipv6(arguments):
    addresses = ['127.0.0.1', '127.0.0.2'] + (['::1'] if has_ipv6() else [])
    with serving(arguments, '--bind', ' '.join(addresses)) as a_server:
        for number, address in enumerate(addresses, 1):
            with Client((address, a_server.port)) as client:
                check_equal(client.ask('INCR', 'n'), number, 'by %s' % address)
        try:
            Client(('127.0.0.3', a_server.port)).close()
            check(False, 'it listens on an address that was not named')
        except ConnectionRefusedError:
            pass
    with serving(arguments, '-a', '127.0.0.1', '-a', '127.0.0.2') as a_server:
        for address in ('127.0.0.1', '127.0.0.2'):
            Client((address, a_server.port)).close()


def case_a_second_server_on_the_port_says_so(arguments):
    with serving(arguments) as a_server:
        second = run([arguments.server, '--bind', '127.0.0.1', '-p', a_server.port])
        check_equal(second.returncode, 1, 'exit status')
        check(b'127.0.0.1:%d' % a_server.port in second.stderr and
              b'Address already in use' in second.stderr, 'it says: %s', second.stderr)
        still_serves(a_server)
    for bad in ('192.0.2.1', 'no.such.host.invalid', '300.1.1.1'):
        process = run([arguments.server, '--bind', bad, '-p', server.free_port()])
        check(process.returncode == 1 and bad.encode() in process.stderr,
              'address %s: status %d, %s', bad, process.returncode, process.stderr)


def case_mistakes_in_a_file_name_the_file_and_the_line(arguments):
    with serving(arguments) as a_server:
        path = os.path.join(a_server.folder, 'my.conf')
        for text, expected in (
                ('# fine\n\nport 7000\nmaxclient 5\n', b'my.conf:4'),
                ('prot 7000\n', b'port'),
                ('port seven\n', b'my.conf:1'),
                ('timeout\n', b'my.conf:1'),
                ('bind "127.0.0.1\n', b'my.conf:1'),
                ('workers 2\nworkers 2000\n', b'my.conf:2'),
                ('maxmemory 100mb\n', b'my.conf:1')):
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
            process = run([arguments.server, '--config', path])
            check_equal(process.returncode, 2, 'exit status of %r' % text)
            check(expected in process.stderr, '%r: %s', text, process.stderr)
        for words in (['-c'], ['-f', 'x'], ['-i', 'x']):
            process = run([arguments.server, *words])
            check(process.returncode == 2 and b'cluster mode is not there yet' in
                  process.stderr, '%s: %s', words, process.stderr)


server.main(__name__)
