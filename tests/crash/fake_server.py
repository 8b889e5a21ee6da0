#!/usr/bin/env python3
"""A small honest server, and the bugs that can be planted in it.

It keeps everything in a dictionary and writes each change to a file before it answers, which
is enough to survive kill -9. With --plant NAME it has one bug, of the kind that real servers
have had. plants_test.py shows that crash_test finds each: tests that find nothing in a good
server prove little until they have found something in a bad one.

    fake_server.py -p PORT --dir DIR [--plant NAME]     (other options are accepted and ignored)
"""

import argparse
import os
import random
import selectors
import shutil
import socket
import struct
import sys
import time

NIL, OK = b'$-1\r\n', b'+OK\r\n'
WRITES = {b'SET', b'DEL', b'INCR', b'APPEND', b'SETRANGE', b'GETDEL', b'MSET', b'PEXPIREAT',
          b'PERSIST', b'FLUSHDB', b'FLUSHALL'}

PLANTS = {
    'stale_read': 'GET sometimes gives the value before the last one',
    'lost_update': 'INCR sometimes counts from the value before the last one',
    'early_ack': 'answers before the change is written; a kill takes it back',
    'double_incr': 'INCR sometimes counts twice and tells once',
    'resurrected_delete': 'a DEL is sometimes not in the log: the key is back after a restart',
    'partial_mset': 'MSET is written key by key: a kill leaves half of it',
    'partial_exec': 'a transaction is written command by command: a kill leaves half of it',
    'reordered_append': 'APPENDs of one batch are written in the wrong order',
    'uncommitted_read': 'others see a change before it is written; a kill takes it back',
    'cas_ignores': 'EXEC does not look at what was watched',
    'other_key': 'GET sometimes gives the value of another key',
    'phantom': 'a restart sometimes invents a value',
    'forgotten_flush': 'FLUSHDB and FLUSHALL are not in the log',
    'lost_deadline': 'deadlines are not in the log',
    'short_backup': 'a backup lacks the last changes',
}


class Server:
    def __init__(self, path, plant):
        self.plant = plant
        self.random = random.Random(os.getpid())
        self.databases = [{} for _ in range(16)]    # name: (value, deadline)
        self.older = {}                             # (database, name): the value before
        self.changes = {}                           # (database, name): for WATCH
        self.clock = 0
        self.path = path
        self.log = None
        self.unwritten = []                         # early_ack: (when, bytes)
        self.load(path)
        self.log = open(path, 'ab', buffering=0)

    def chance(self, plant, one_in):
        return self.plant == plant and bool(self.log) and self.random.randrange(one_in) == 0

    # ---- the log: length, database and words of commands; a length is one write ----

    def load(self, path):
        try:
            data = open(path, 'rb').read()
        except FileNotFoundError:
            return
        at = 0
        while at + 4 <= len(data):
            size, = struct.unpack_from('<I', data, at)
            if at + 4 + size > len(data):
                break
            for database, words in decode(data[at + 4:at + 4 + size]):
                self.execute(words, database)
            at += 4 + size
        os.truncate(path, at)
        if self.plant == 'phantom':
            for keys in self.databases[:8]:
                for name in list(keys)[:1]:
                    keys[name] = (b'99.99|invented', 0)

    def record(self, database, words):
        """What the log is to say of a command."""
        if self.chance('resurrected_delete', 20) and words[0] == b'DEL':
            return b''
        if self.plant == 'forgotten_flush' and words[0].startswith(b'FLUSH'):
            return b''
        if self.plant == 'lost_deadline' and words[0] == b'PEXPIREAT':
            return b''
        return encode(database, words)

    def write(self, records):
        """One or several records that count together."""
        body = b''.join(records)
        if not body:
            return
        data = struct.pack('<I', len(body)) + body
        if self.plant == 'early_ack':
            self.unwritten.append((time.monotonic() + 0.02, data))
        else:
            self.log.write(data)

    def write_late(self):
        now = time.monotonic()
        while self.unwritten and self.unwritten[0][0] <= now:
            self.log.write(self.unwritten.pop(0)[1])

    def log_command(self, database, words):
        if self.plant == 'partial_mset' and words[0] == b'MSET' and len(words) < 20:
            for i in range(1, len(words), 2):
                self.write([encode(database, [b'SET', words[i], words[i + 1]])])
                time.sleep(0.002)
            return
        self.write([self.record(database, words)])

    # ---- commands ----

    def find(self, database, name):
        value, deadline = self.databases[database].get(name, (None, 0))
        if deadline and deadline <= time.time() * 1000:
            self.databases[database].pop(name)
            return None, 0
        return value, deadline

    def put(self, database, name, value, deadline=0):
        self.older[database, name] = self.find(database, name)[0]
        self.touch(database, name)
        if value is None:
            self.databases[database].pop(name, None)
        else:
            self.databases[database][name] = (value, deadline)

    def touch(self, database, name):
        self.clock += 1
        self.changes[database, name] = self.clock

    def get(self, database, name):
        if self.chance('stale_read', 200) and (database, name) in self.older:
            return self.older[database, name]
        if self.chance('other_key', 300) and self.databases[database]:
            return next(iter(self.databases[database].values()))[0]
        return self.find(database, name)[0]

    def execute(self, words, db):
        name = words[0]
        key = words[1] if len(words) > 1 else b''
        if name == b'PING':
            return b'+PONG\r\n'
        if name == b'SET':
            self.put(db, key, words[2], int(words[4]) if len(words) > 4 else 0)
            return OK
        if name == b'GET':
            return bulk(self.get(db, key))
        if name == b'MGET':
            return array([bulk(self.get(db, key)) for key in words[1:]])
        if name == b'MSET':
            for i in range(1, len(words), 2):
                self.put(db, words[i], words[i + 1])
            return OK
        if name == b'DEL':
            count = 0
            for key in words[1:]:
                if self.find(db, key)[0] is not None:
                    self.put(db, key, None)
                    count += 1
            return number(count)
        if name == b'GETDEL':
            value = self.find(db, key)[0]
            self.put(db, key, None)
            return bulk(value)
        if name == b'INCR':
            return self.incr(db, key)
        if name in (b'APPEND', b'SETRANGE'):
            return self.edit(db, words)
        if name in (b'PEXPIREAT', b'PERSIST', b'PEXPIRETIME'):
            return self.expire(db, words)
        if name in (b'FLUSHDB', b'FLUSHALL'):
            for i in [db] if name == b'FLUSHDB' else range(16):
                for key in list(self.databases[i]):
                    self.put(i, key, None)
            return OK
        if name == b'DBSIZE':
            return number(len(self.databases[db]))
        if name == b'KEYS':
            names = [key for key in list(self.databases[db]) if self.find(db, key)[0] is not None]
            return array([bulk(key) for key in names])
        if name == b'BGREWRITEAOF':
            return b'+Background append only file rewriting started\r\n'
        if name == b'BACKUP':
            return self.backup(key.decode())
        return b'-ERR unknown command\r\n'

    def backup(self, name):
        folder = os.path.join(os.path.dirname(self.path), 'backups', name)
        os.makedirs(folder)
        copy = shutil.copy(self.path, folder)
        if self.plant == 'short_backup':
            os.truncate(copy, max(0, os.path.getsize(copy) - 2000))
        return OK

    def incr(self, db, key):
        value, deadline = self.find(db, key)
        if self.chance('lost_update', 100):
            value = self.older.get((db, key)) or value
        told = int(value or 0) + 1
        self.put(db, key, b'%d' % (told + self.chance('double_incr', 100)), deadline)
        return number(told)

    def edit(self, db, words):
        value, deadline = self.find(db, words[1])
        value = value or b''
        if words[0] == b'APPEND':
            value += words[2]
        else:
            at, patch = int(words[2]), words[3]
            value = value.ljust(at, b'\0')
            value = value[:at] + patch + value[at + len(patch):]
        self.put(db, words[1], value, deadline)
        return number(len(value))

    def expire(self, db, words):
        value, deadline = self.find(db, words[1])
        if words[0] == b'PEXPIRETIME':
            return number(-2 if value is None else deadline or -1)
        if value is None or (words[0] == b'PERSIST' and not deadline):
            return number(0)
        self.put(db, words[1], value, int(words[2]) if words[0] == b'PEXPIREAT' else 0)
        return number(1)


class Client:
    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.input = b''
        self.database = 0
        self.queue = None       # of a transaction
        self.watched = {}

    def receive(self, data):
        """All replies of what has arrived; what it changed is written by then."""
        self.input += data
        replies, at, appends = [], 0, []
        while True:
            words, end = request(self.input, at)
            if words is None:
                break
            at = end
            words[0] = words[0].upper()
            if self.server.plant == 'reordered_append' and self.queue is None:
                # Two in a row for one key, and the log has them the other way round.
                if words[0] == b'APPEND':
                    appends.append(words)
                    replies.append(self.server.execute(words, self.database))
                    continue
                self.write_appends(appends)
            replies.append(self.one(words))
        self.write_appends(appends)
        self.input = self.input[at:]
        return b''.join(replies)

    def write_appends(self, appends):
        for words in reversed(appends):
            self.server.log_command(self.database, words)
        appends.clear()

    def one(self, words):
        server, name = self.server, words[0]
        if name == b'SELECT':
            self.database = int(words[1])
            return OK
        if name == b'WATCH':
            for key in words[1:]:
                self.watched[self.database, key] = server.changes.get((self.database, key))
            return OK
        if name == b'MULTI':
            self.queue = []
            return OK
        if name == b'EXEC':
            return self.exec()
        if self.queue is not None:
            self.queue.append(words)
            return b'+QUEUED\r\n'
        reply = server.execute(words, self.database)
        if name in WRITES:
            server.log_command(self.database, words)
        return reply

    def exec(self):
        server, queue = self.server, self.queue
        self.queue = None
        watched, self.watched = self.watched, {}
        if server.plant != 'cas_ignores' and any(
                server.changes.get(key) != change for key, change in watched.items()):
            return b'*-1\r\n'
        replies = [server.execute(words, self.database) for words in queue]
        records = [server.record(self.database, words) for words in queue if words[0] in WRITES]
        if server.plant == 'partial_exec':
            for record in records:
                server.write([record])
                time.sleep(0.002)
        else:
            server.write(records)
        return array(replies)


def request(data, at):
    """The words of the request at `at`, and where it ends; (None, at) when it is not whole."""
    def line(begin):
        end = data.find(b'\r\n', begin)
        return (None, begin) if end < 0 else (int(data[begin + 1:end]), end + 2)

    count, here = line(at)
    words = []
    while count is not None and len(words) < count:
        size, here = line(here)
        if size is None or len(data) < here + size + 2:
            return None, at
        words.append(data[here:here + size])
        here += size + 2
    return (None, at) if count is None else (words, here)


def encode(database, words):
    return struct.pack('<BB', database, len(words)) + b''.join(
        struct.pack('<I', len(word)) + word for word in words)


def decode(data):
    at = 0
    while at < len(data):
        database, count = struct.unpack_from('<BB', data, at)
        at += 2
        words = []
        for _ in range(count):
            size, = struct.unpack_from('<I', data, at)
            words.append(data[at + 4:at + 4 + size])
            at += 4 + size
        yield database, words


def bulk(value):
    return NIL if value is None else b'$%d\r\n%s\r\n' % (len(value), value)


def number(value):
    return b':%d\r\n' % value


def array(items):
    return b'*%d\r\n' % len(items) + b''.join(items)


def serve(server, port):
    listener = socket.create_server(('127.0.0.1', port), backlog=128)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    held = []       # uncommitted_read: (when, client, replies, log)
    while True:
        events = selector.select(0.002 if server.unwritten or held else None)
        server.write_late()
        while held and held[0][0] <= time.monotonic():
            _, client, replies, records = held.pop(0)
            server.log.write(records)
            client.sock.sendall(replies)
        for key, _ in events:
            if key.data is None:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(sock, selectors.EVENT_READ, Client(server, sock))
                continue
            client = key.data
            try:
                data = client.sock.recv(1 << 20)
                if not data:
                    raise ConnectionError
                if server.plant == 'uncommitted_read':
                    hold(server, client, data, held)
                else:
                    client.sock.sendall(client.receive(data))
            except (ConnectionError, OSError):
                selector.unregister(client.sock)
                client.sock.close()


def hold(server, client, data, held):
    """Changes are made at once and written 10 ms later; only their own client waits."""
    class Pretended:
        records = b''

        def write(self, data):
            self.records += data

    real, server.log = server.log, Pretended()
    replies = client.receive(data)
    records, server.log = server.log.records, real
    if records:
        held.append((time.monotonic() + 0.01, client, replies, records))
    else:
        client.sock.sendall(replies)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('-p', type=int, required=True)
    parser.add_argument('--dir', required=True)
    parser.add_argument('--plant', default='none', choices=['none', *PLANTS])
    options, _ = parser.parse_known_args()
    serve(Server(os.path.join(options.dir, 'log'), options.plant), options.p)


if __name__ == '__main__':
    sys.exit(main())
