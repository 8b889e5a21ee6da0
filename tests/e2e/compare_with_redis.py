#!/usr/bin/env python3
"""Send the same random requests to Redis 7.0.15 and to a server, and compare the replies.

    compare_with_redis.py --requests 200000 --seed 7 --server build/memento-server
    compare_with_redis.py --server /usr/bin/redis-server      Redis against itself
    compare_with_redis.py --self-test                         can it fail at all?

README.md in this folder says how it works. The exit status is 0 when every reply agreed,
1 when one did not, 2 when the comparison could not run.
"""

import argparse
import collections
import os
import re
import signal
import sys
import time

from redis_proxy import FAULTS, FaultyProxy
from redis_requests import Generator, Request
from redis_resp import (QUEUED, BadReply, Connection, Lost, encode, escape, exchange,
                        render_reply, render_request)
from redis_rules import Session, config_differences, is_error
from redis_servers import Folder, Remote, Server, ServerFailed, is_redis
from redis_streams import FIRST, stream
from redis_words import HUGE_KEY, KEY_SET

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

ORACLE = b'7.0.15'
PIPELINE_MAX = 60
CONNECTIONS = 6
HISTORY_REQUESTS = 4000
HISTORY_SHOWN = 15
TOUCH_ALL = ('FLUSHALL', 'FLUSHDB', 'SWAPDB')
DETAILS_EACH = 3  # differences printed in full for each command
ROWS_NEEDED_FROM = 1000000  # from so many requests an unused row is a failure
AUDIT_EVERY = 1000
DYING_EVERY = 1500
WALK_STEPS_MAX = 20000
DEATH_WAIT_S = 0.02
SWEEP_SECONDS_MAX = 10
QUIET_S = 0.12  # a raw stream is taken as unanswered after this long
QUIET_AGAIN_S = 1.0  # and after this long when the first look found a difference


# Set alike on both servers, for the requests may change or depend on them.
OPTIONS = [(b'timeout', b'0'), (b'notify-keyspace-events', b''),
           (b'slowlog-log-slower-than', b'-1'), (b'maxmemory-policy', b'noeviction')]


class Stop(Exception):
    """Nothing more can be compared."""


class Row:
    """One intended difference."""
    def __init__(self, command, pattern, reason):
        self.command = command
        self.pattern = re.compile(pattern)
        self.text = '%s | %s | %s' % (command, pattern, reason)
        self.used = 0


def read_rows(path):
    rows = []
    with open(path, encoding='utf-8') as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            parts = [part.strip() for part in line.split(' | ')]
            if len(parts) != 3 or not all(parts):
                raise ValueError('%s:%d: not "COMMAND | pattern | reason"' %
                                 (path, number))
            rows.append(Row(*parts))
    return rows


class Pair:
    """One connection to each server. Both see the same bytes, cut at the same places."""
    def __init__(self, name, redis, server, timeout, deaths):
        self.name = name
        self.sides = (Connection(redis, timeout), Connection(server, timeout))
        self.session = Session(deaths)

    def close(self):
        for side in self.sides:
            side.close()


class Comparison:
    def __init__(self, redis, server, options, rows, out=sys.stdout):
        self.redis = redis
        self.server = server
        self.options = options
        self.rows = rows
        self.out = out
        protocols = (options.proto, ) if options.proto else (2, 3)
        self.generator = Generator(options.seed, protocols, options.only)
        self.homes = [protocols[i % len(protocols)] for i in range(CONNECTIONS)]
        self.pairs = [None] * CONNECTIONS
        self.control = None
        self.number = 0
        self.requests = collections.Counter()
        self.errors = collections.Counter()
        self.excused = collections.Counter()
        self.differences = collections.Counter()
        self.skipped = 0
        self.history = collections.deque(maxlen=HISTORY_REQUESTS)
        self.first_difference = 0
        self.begun = False
        # The generator's count of deaths at the last audit, and at the one before it: a
        # transaction may have queued its request before one and run after it.
        self.swept = [0, 0]

    # ---- connections ----------------------------------------------------------

    def open(self, name):
        try:
            return Pair(name, self.redis.address, self.server.address,
                        self.options.timeout, self.deaths)
        except OSError as error:
            self.check_alive()
            raise Stop('cannot connect: %s' % error)

    def pair(self, index):
        if self.pairs[index] is None:
            self.pairs[index] = self.open('c%d' % (index + 1))
            if self.homes[index] == 3:
                self.send(self.pairs[index], [self.generator.request('HELLO 3')])
        return self.pairs[index] or self.pair(index)

    def drop(self, pair):
        pair.close()
        if pair is self.control:
            self.control = None
        self.pairs = [None if other is pair else other for other in self.pairs]

    def begin(self):
        """Both servers empty and set alike, every connection new."""
        for pair in self.pairs + [self.control]:
            if pair is not None:
                self.drop(pair)
        self.history.clear()
        self.control = self.open('control')
        ask = self.generator.request
        batch = [ask('FLUSHALL')] + [ask('CONFIG SET', *option) for option in OPTIONS]
        # What differs here is reported once, not again after every difference.
        self.send(self.control, batch, report=not self.begun)
        self.begun = True

    def deaths(self):
        return self.generator.deaths - self.swept[0]

    def check_alive(self):
        for side in (self.redis, self.server):
            how = side.ended()
            if how is not None:
                raise Stop('%s ended with %s. It wrote:\n%s' %
                           (side.name, how, side.output()))

    # ---- one batch ------------------------------------------------------------

    def send(self, pair, batch, report=True):
        """Send the requests to both sides in one pipeline and compare the replies."""
        for request in batch:
            self.number += 1
            request.number = self.number
            self.requests[request.name] += 1
        data = b''.join([encode(request.args) for request in batch])
        expected = sum([request.replies for request in batch])
        for piece in self.cut(data):
            for side in pair.sides:
                try:
                    side.send(piece)
                except Lost:
                    pass            # reading says what happened
        answers, lost = ([], []), [None, None]
        for i, side in enumerate(pair.sides):
            try:
                side.read(expected, answers[i])
                if side.buf:
                    lost[i] = 'more bytes than replies: ' + escape(side.buf, 100)
            except (Lost, BadReply) as error:
                lost[i] = str(error)
        if not report:
            self.skipped += len(batch)
            return True, answers
        good = self.compare(pair, batch, answers, lost)
        if lost[0] or lost[1]:
            self.drop(pair)
        if not good:
            self.check_alive()
            # A wrong state would make every later reply differ as well.
            if self.begun:
                self.begin()
        return good, answers

    def cut(self, data):
        """The bytes in one to four pieces, with now and then a pause between them."""
        roll = self.generator.roll
        if roll() < 0.4 or len(data) < 2:
            yield data
            return
        cuts = sorted(1 + int(roll() * (len(data) - 1))
                      for _ in range(1 + int(roll() * 3)))
        pause = roll() < 0.1
        begin = 0
        for end in cuts + [len(data)]:
            yield data[begin:end]
            begin = end
            if pause:
                time.sleep(0.0005)

    def compare(self, pair, batch, answers, lost):
        """False at the first difference no row explains; the rest is not looked at."""
        left, right = answers
        asked = [request for request in batch if request.replies]
        both = min(len(left), len(right), len(asked))
        session = pair.session
        record = self.history.append
        for request in batch:
            if not request.replies:
                record((request, pair.name, None, None))
        for i in range(both):
            request, a, b = asked[i], left[i], right[i]
            record((request, pair.name, a, b))
            if is_error(a):
                self.errors[request.name] += 1
            follower = None
            if request.name == 'RANDOMKEY' and i + 1 < both:
                follower = (asked[i + 1], left[i + 1], right[i + 1])
            queue = session.queue
            if session.same(request, a, b, follower, self.excuse_request):
                continue
            tainted = request.name == 'EXEC' and session.tainted
            if not tainted and self.excuse_request(request):
                # One side goes on with a transaction that the other will refuse.
                session.tainted |= (a == QUEUED) != (b == QUEUED)
                continue
            if not tainted:
                self.report(pair, batch, request, a, b, queue)
            self.skipped += len(asked) - i - (0 if tainted else 1)
            return False
        if lost == [None, None] or (lost[0] == lost[1] and 'closed' in lost[0]
                                    and len(left) == len(right)):
            return True
        a, b = [('lost', (lost[i] or 'nothing').encode()) if both >= len(answers[i])
                else answers[i][both] for i in (0, 1)]
        self.report(pair, batch, asked[min(both, len(asked) - 1)], a, b, session.queue)
        self.skipped += max(0, len(asked) - both - 1)
        return False

    def excuse_request(self, request):
        return self.excuse(request.args[0].decode('latin-1').upper(), request.name,
                           render_request(request.args))

    def excuse(self, command, name, text):
        row = self.find_row(command, text)
        if row is None:
            return False
        row.used += 1
        self.excused[name] += 1
        return True

    def find_row(self, command, text):
        for row in self.rows:
            if row.command == command and row.pattern.search(text):
                return row
        return None

    # ---- scenarios ------------------------------------------------------------

    def pipeline(self):
        roll = self.generator.roll
        pair = self.pair(self.generator.below(CONNECTIONS))
        count = 1 if roll() < 0.25 else 1 + int(roll() * PIPELINE_MAX)
        batch = self.generator.batch(count)
        home = self.homes[self.pairs.index(pair)]
        if home == 3 and roll() < 0.15:
            batch.insert(0, self.generator.request('HELLO 3'))
        self.send(pair, batch)
        if roll() < 0.01:
            self.drop(pair)

    def watching(self):
        first = self.generator.below(CONNECTIONS)
        second = (first + 1 + self.generator.below(CONNECTIONS - 1)) % CONNECTIONS
        begin, other, end = self.generator.watching()
        for index, batch in ((first, begin), (second, other), (first, end)):
            if not self.send(self.pair(index), batch)[0]:
                return

    def dying(self):
        first, then = self.generator.dying()
        pair = self.control
        if self.send(pair, first)[0]:
            time.sleep(DEATH_WAIT_S)
            self.send(pair, then)

    def audit(self):
        """Everything both servers hold: the keys of each database, values, times."""
        ask = self.generator.request
        self.await_sweep()
        batch = []
        for database in range(16):
            batch += [ask('SELECT %d' % database), ask('DBSIZE', exact=True),
                      ask('KEYS *')]
        good, answers = self.send(self.control, batch)
        if not good:
            return
        for database in range(16):
            keys = answers[0][database * 3 + 2]
            if not keys or is_error(keys):
                continue
            batch = [ask('SELECT %d' % database)]
            for key in sorted(keys):
                batch += [ask('GET', key), ask('PTTL', key), ask('TYPE', key)]
            if not self.send(self.control, batch)[0]:
                return

    def await_sweep(self):
        """Give both servers time to forget the dead keys that they still count."""
        if self.generator.deaths == self.swept[1]:
            return
        self.swept = [self.swept[1], self.generator.deaths]
        limit = time.monotonic() + SWEEP_SECONDS_MAX
        try:
            while self.sizes(0) != self.sizes(1) and time.monotonic() < limit:
                time.sleep(0.01)
        except (Lost, BadReply):
            pass                    # the audit itself will say so

    def sizes(self, side):
        connection = self.control.sides[side]
        sizes = []
        for database in range(16):
            connection.ask(b'SELECT', b'%d' % database)
            sizes.append(connection.ask(b'DBSIZE'))
        return sizes

    def walk(self):
        """SCAN from 0 to 0 on both sides: the sets of keys must be equal."""
        generator = self.generator
        database = generator.pick((b'0', b'0', b'0', b'1', b'2'))
        if not self.send(self.control, [generator.request('SELECT', database)])[0]:
            return
        options = generator.scan_options()
        found = []
        for side in self.control.sides:
            try:
                found.append(self.walk_side(side, options))
            except (Lost, BadReply) as error:
                found.append(('lost', str(error).encode()))
        request = Request([b'SCAN', b'0'] + options, 'SCAN', exact=True)
        self.number += 1
        request.number = self.number
        self.requests['SCAN'] += 1
        if found[0] != found[1] and not self.excuse_request(request):
            self.report(self.control, [request], request, found[0], found[1], [],
                        'the keys of a whole walk, sorted')
            self.begin()

    def walk_side(self, side, options):
        cursor, keys = b'0', set()
        for _ in range(WALK_STEPS_MAX):
            reply = side.ask(b'SCAN', cursor, *options)
            if is_error(reply):
                return reply
            if not isinstance(reply, list) or len(reply) != 2:
                return reply
            cursor = reply[0]
            keys.update(reply[1])
            if cursor == b'0':
                return sorted(keys)
        return ('lost', b'the walk does not end')

    def raw(self):
        label, data, token = stream(self.generator)
        self.number += 1
        self.requests['RAW'] += 1
        text = '%s: %s' % (label, escape(data))
        excusable = self.find_row('RAW', text) is not None
        a, b = self.raw_once(data, token, QUIET_S, excusable)
        if a != b and 'silent' in (a[1], b[1]) and not excusable:
            # Perhaps a server was only slow: look again, with more patience.
            a, b = self.raw_once(data, token, QUIET_AGAIN_S, False)
        if a == b or self.excuse('RAW', 'RAW', text):
            return
        request = Request([label.encode(), data], 'RAW')
        request.number = self.number
        self.report(None, [request], request, ('raw', b'[%s] %s' % (a[1].encode(), a[0])),
                    ('raw', b'[%s] %s' % (b[1].encode(), b[0])), [])
        self.check_alive()
        self.begin()

    def raw_once(self, data, token, quiet, hurry):
        a = exchange(self.redis.address, FIRST, data, token, quiet)
        at_least = 0 if hurry else len(a[0])
        return a, exchange(self.server.address, FIRST, data, token, quiet, at_least)

    def run(self):
        """Compare until enough requests are sent or too many differed."""
        generator, roll = self.generator, self.generator.roll
        wants = generator.wants
        scenarios = [(0.08, self.raw, wants('RAW')), (0.03, self.walk, wants('SCAN')),
                     (0.08, self.watching, wants('WATCH', 'MULTI', 'EXEC')),
                     (0.02, self.silent, wants('CLIENT')),
                     (0.04, self.exact, wants('EXPIRETIME', 'PEXPIRETIME', 'OBJECT'))]
        audit_at, die_at = AUDIT_EVERY, DYING_EVERY
        dying = wants('EXPIRE', 'PEXPIRE', 'SET', 'PSETEX', 'GETEX')
        self.begin()
        only_raw = generator.only == {'RAW'}
        while self.number < self.options.requests:
            if sum(self.differences.values()) >= self.options.max_differences:
                raise Stop('%d differences: stopped' % self.options.max_differences)
            if self.control is None:
                self.begin()
            if self.number >= audit_at:
                audit_at = self.number + AUDIT_EVERY
                self.audit()
            elif dying and self.number >= die_at:
                die_at = self.number + DYING_EVERY
                self.dying()
            else:
                chosen = roll()
                for share, scenario, wanted in scenarios:
                    chosen -= share
                    if chosen < 0 and wanted:
                        scenario()
                        break
                else:
                    self.raw() if only_raw else self.pipeline()
        if self.control is not None:
            self.audit()

    def silent(self):
        self.send(self.pair(self.generator.below(CONNECTIONS)),
                  self.generator.silent())

    def exact(self):
        self.send(self.pair(self.generator.below(CONNECTIONS)),
                  self.generator.exact_times())

    # ---- reports --------------------------------------------------------------

    def say(self, text=''):
        print(text, file=self.out)

    def report(self, pair, batch, request, a, b, queue, note=''):
        self.differences[request.name] += 1
        self.first_difference = self.first_difference or request.number
        if self.differences[request.name] > DETAILS_EACH:
            return
        where = 'a connection of its own' if pair is None else 'connection ' + pair.name
        self.say('=== difference %d, seed %d, request %d (%s)' % (
            sum(self.differences.values()), self.options.seed, request.number, where))
        if note:
            self.say('    note     ' + note)
        if len(batch) > 1:
            self.say('    pipeline request %d of %d sent together' %
                     (1 + batch.index(request), len(batch)))
        self.say('    request  ' + render_request(request.args, 2000))
        self.say('    redis    ' + render_reply(a, 1500))
        self.say('    server   ' + render_reply(b, 1500))
        if request.name == 'CONFIG GET':
            self.say('    note     ' + config_differences(a, b))
        if request.name == 'EXEC':
            self.say_queue(queue, a, b)
        self.say_history(pair, request, queue)
        self.out.flush()

    def say_queue(self, queue, a, b):
        """The requests of a transaction; where the replies differ, those too."""
        both = (isinstance(a, list) and isinstance(b, list)
                and len(a) == len(b) == len(queue))
        for i, queued in enumerate(queue):
            self.say('    queued   %d: %s' % (i + 1, render_request(queued.args, 200)))
            if both and not Session(self.deaths).same_by_rule(queued, a[i], b[i]):
                self.say('             redis  ' + render_reply(a[i]))
                self.say('             server ' + render_reply(b[i]))

    def say_history(self, pair, request, queue):
        """What happened before to the keys of the request, and on its connection."""
        keys = keys_of(request)
        for queued in queue:
            keys |= keys_of(queued)
        if request.name == 'EXEC':
            keys |= self.watched_keys(pair)
        related, nearby = [], []
        for entry in reversed(self.history):
            if entry[0] is request:
                continue
            touched = keys & keys_of(entry[0]) or entry[0].name in TOUCH_ALL
            if touched and len(related) < HISTORY_SHOWN:
                related.append(entry)
            if pair is not None and len(nearby) < 8 and entry[1] == pair.name:
                nearby.append(entry)
        for title, entries in (('on the same keys', related if keys else []),
                               ('on the same connection', nearby)):
            if entries:
                self.say('    before this, %s:' % title)
            for before, name, a, b in reversed(entries):
                replies = render_reply(a, 80)
                if a != b:
                    replies += '  |  ' + render_reply(b, 80)
                self.say('      #%d %s  %s  ->  %s' % (
                    before.number, name, render_request(before.args, 80), replies))

    def watched_keys(self, pair):
        """What the connection watches at its last EXEC."""
        keys, first = set(), True
        for before, name, _, _ in reversed(self.history):
            if name == pair.name:
                if before.name == 'WATCH':
                    keys |= keys_of(before)
                elif before.name in ('EXEC', 'UNWATCH', 'RESET') and not first:
                    break
                first = False
        return keys

    def summary(self):
        self.say('%-16s %9s %9s %9s %12s' %
                 ('command', 'requests', 'errors', 'intended', 'differences'))
        for name in sorted(self.requests):
            row = [counter[name] or '' for counter in (
                self.requests, self.errors, self.excused, self.differences)]
            self.say(('%-16s %9s %9s %9s %12s' % (name, *row)).rstrip())
        if self.skipped:
            self.say('%d requests were not compared: an earlier one of their pipeline '
                     'differed' % self.skipped)

    def unused_rows(self):
        return [row for row in self.rows if not row.used]


def keys_of(request):
    return {arg for arg in request.args[1:] if arg in KEY_SET or arg == HUGE_KEY}


# ---- the program --------------------------------------------------------------


def find_server():
    for place in ('build/release/bin', 'build/check/bin'):
        path = os.path.join(ROOT, place, 'memento-server')
        if os.access(path, os.X_OK):
            return path
    return None


def remote(text):
    host, _, port = text.rpartition(':')
    if not host or not port.isdigit():
        raise ValueError('--address wants HOST:PORT, not %r' % text)
    return Remote((host.strip('[]'), int(port)))


def examine(address, may_flush):
    """True when the server there is a Redis. A server that holds keys is left alone."""
    connection = Connection(address)
    try:
        info = connection.ask(b'INFO', b'server')
        for database in range(16):
            connection.ask(b'SELECT', b'%d' % database)
            if connection.ask(b'DBSIZE') != 0 and not may_flush:
                raise ServerFailed('database %d is not empty, and this test begins with '
                                   'FLUSHALL: say --flush to lose it' % database)
        return isinstance(info, bytes) and b'memento_version' not in info
    finally:
        connection.close()


def check_oracle(address):
    """Another version answers differently, and would be believed."""
    connection = Connection(address)
    info = connection.ask(b'INFO', b'server')
    connection.close()
    version = re.search(rb'redis_version:(\S+)', info)
    if version is None or version.group(1) != ORACLE:
        raise ServerFailed('the oracle must be Redis %s, and this is %s' % (
            ORACLE.decode(), version.group(1).decode() if version else 'something else'))


def compare(options):
    with Folder() as folder:
        servers = []
        try:
            redis = Server('redis', options.redis, folder)
            servers.append(redis)
            redis.start()
            check_oracle(redis.address)
            if options.address:
                server = remote(options.address)
                itself = examine(server.address, options.flush)
            else:
                server = Server('server', options.server, folder)
                servers.append(server)
                server.start()
                itself = is_redis(options.server)
            # Redis compared with itself has no excuse for any difference.
            rows = [] if itself else read_rows(options.differences)
            return judge(Comparison(redis, server, options, rows), options)
        finally:
            for server in servers:
                server.stop()


def judge(comparison, options):
    print('seed %d, %d requests, redis on port %d, server on port %d' % (
        options.seed, options.requests, comparison.redis.address[1],
        comparison.server.address[1]), flush=True)
    begin = time.monotonic()
    stopped = ''
    try:
        comparison.run()
    except Stop as stop:
        stopped = str(stop)
    failed = sum(comparison.differences.values())
    comparison.summary()
    if stopped:
        print(stopped)
        failed += 0 if failed else 1
    unused = comparison.unused_rows()
    must_use = comparison.number >= ROWS_NEEDED_FROM and not options.only and not stopped
    for row in unused:
        print('%s: this intended difference was never seen: %s' %
              ('FAILED' if must_use else 'warning', row.text))
    if must_use:
        failed += len(unused)
    seconds = time.monotonic() - begin
    print('seed %d: %d requests in %.1f s' % (options.seed, comparison.number, seconds))
    passed = comparison.number - comparison.skipped - sum(comparison.differences.values())
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


def self_test(options):
    """Redis against Redis with one small fault between them: each must be found."""
    passed = failed = 0
    options.max_differences = 1
    options.requests = max(options.requests, 40000)
    options.timeout = 3.0
    for name, fault in [('no fault', None)] + FAULTS:
        with Folder() as folder:
            redis = Server('redis', options.redis, folder)
            second = Server('server', options.redis, folder)
            proxy = None
            try:
                redis.start()
                second.start()
                proxy = FaultyProxy(second.address, fault, options.seed)
                proxy.start()
                with open(os.devnull, 'w') as nowhere:
                    comparison = Comparison(redis, Remote(proxy.address), options, [],
                                            nowhere)
                    stopped = ''
                    try:
                        comparison.run()
                    except Stop as stop:
                        stopped = str(stop)
            finally:
                if proxy is not None:
                    proxy.stop()
                redis.stop()
                second.stop()
        found = sum(comparison.differences.values()) or bool(stopped)
        if fault is None:
            good, text = not found, 'no difference in %d requests' % comparison.number
        else:
            good = found and proxy.hits
            text = 'found at request %d' % comparison.first_difference
        if not good:
            text = 'NOT FOUND' if fault and proxy.hits else 'not as expected ' + stopped
        passed, failed = passed + bool(good), failed + (not good)
        print('%-44s %s' % (name, text), flush=True)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add = parser.add_argument
    add('--requests', type=int, default=20000, help='how many to send (default 20000)')
    add('--seed', type=int, help='of the random requests (default: the clock)')
    add('--server', help='path of memento-server, or of a second redis-server')
    add('--address', help='HOST:PORT of a server that already runs, and is empty')
    add('--flush', action='store_true', help='with --address: it may lose its keys')
    add('--redis', default='/usr/bin/redis-server', help='path of redis-server 7.0.15')
    add('--proto', type=int, choices=(2, 3), help='one RESP version only (default both)')
    add('--only',
        type=lambda text: text.upper().split(','),
        metavar='CMD,CMD',
        help='only these commands, or RAW; and some SET and DEL to feed them')
    add('--max-differences',
        type=int,
        default=100,
        help='stop after so many (default 100)')
    add('--timeout', type=float, default=10.0, help='seconds to wait for a reply')
    add('--differences',
        default=os.path.join(HERE, 'redis_differences.txt'),
        help='the table of intended differences')
    add('--self-test', action='store_true', help='prove that differences are found')
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = time.time_ns() % 1000000007
    if not (options.self_test or options.address or options.server):
        options.server = find_server()
        if options.server is None:
            parser.error('no memento-server found in build/: say --server PATH')
    if options.server:
        options.server = os.path.abspath(options.server)
    return options


def main():
    options = parse_options(sys.argv[1:])
    # Ended from outside, we still end our servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return self_test(options) if options.self_test else compare(options)
    except (ServerFailed, ValueError, OSError, re.error) as error:
        print('%s: %s' % (os.path.basename(sys.argv[0]), error), file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
