"""A TCP proxy with one small fault: what the self-test puts in front of a server."""

import random
import re
import select
import socket
import threading

# A fault is (direction, pattern, replacement): once a random number of matches has
# passed, the next ones are replaced, up to SPOILT of them. One alone may have no effect
# that anyone could see: an idle time is not compared, a changed key may be deleted before
# it is read. The replacement None closes the connection instead. The patterns are
# anchored at RESP's line ends, not parsed: a hit inside a value is as good as any other.
SPOILT = {'reply': 5, 'request': 25}

FAULTS = [
    ('a status with another letter', ('reply', rb'\+OK\r\n', b'+Ok\r\n')),
    ('a reply too few', ('reply', rb'\+OK\r\n', b'')),
    ('a reply too many', ('reply', rb'\+OK\r\n', b'+OK\r\n+OK\r\n')),
    ('0 for 1', ('reply', rb':1\r\n', b':0\r\n')),
    ('1 for 0', ('reply', rb':0\r\n', b':1\r\n')),
    ('-1 for -2 as a time to live', ('reply', rb':-2\r\n', b':-1\r\n')),
    ('an empty value for none', ('reply', rb'\$-1\r\n', b'$0\r\n\r\n')),
    ('the null of RESP2 in RESP3', ('reply', rb'_\r\n', b'$-1\r\n')),
    ('a status where a value belongs', ('reply', rb'\$5\r\nhello\r\n', b'+hello\r\n')),
    ('one byte of a value', ('reply', rb'foobar', b'fooba\x00')),
    ('another first word of an error', ('reply', rb'-ERR ', b'-BAD ')),
    ('one letter of an error', ('reply', rb'-ERR syntax error', b'-ERR Syntax error')),
    ('NOPROTO lost', ('reply', rb'-NOPROTO unsupported protocol version',
                      b'-ERR Protocol version is wrong')),
    ('a list for a map', ('reply', rb'%7\r\n', b'*14\r\n')),
    ('an aborted EXEC that ran', ('reply', rb'\*-1\r\n', b'*0\r\n')),
    ('a connection that ends', ('reply', rb'\+PONG\r\n', None)),
    ('bytes that are not RESP', ('reply', rb'\+QUEUED\r\n', b'QUEUED\r\n')),
    ('INCR that decrements', ('request', rb'\$4\r\nINCR\r\n', b'$4\r\nDECR\r\n')),
    ('BITOP OR for XOR', ('request', rb'\$3\r\nXOR\r\n', b'$2\r\nOR\r\n')),
    ('MSET that stores another value',
     ('request', rb'(?i)(MSET\r\n\$2\r\nk\d\r\n\$[1-9]\d*\r\n)[a-z]', rb'\1#')),
    ('APPEND of another byte',
     ('request', rb'(?i)(APPEND\r\n\$2\r\n[kn]\d\r\n\$[1-9]\d*\r\n)[a-z0-9]', rb'\1#')),
    ('EXPIRE in ms', ('request', rb'\$6\r\nEXPIRE\r\n', b'$7\r\nPEXPIRE\r\n')),
    ('a deadline one second late', ('request', rb'\r\n(\$10\r\n41024\d{4})\d\r\n',
                                    rb'\r\n\g<1>0\r\n')),
    ('FLUSHDB for FLUSHALL', ('request', rb'\$8\r\nFLUSHALL\r\n', b'$7\r\nFLUSHDB\r\n')),
    ('WATCH that watches nothing', ('request', rb'\*2\r\n\$5\r\nWATCH\r\n\$\d+\r\n',
                                    b'*2\r\n$5\r\nWATCH\r\n$6\r\nnosuch\r\n')),
    ('SELECT of another database', ('request', rb'\$6\r\nSELECT\r\n\$1\r\n1',
                                    b'$6\r\nSELECT\r\n$1\r\n2')),
    ('MULTI of one side only', ('request', rb'\$5\r\nMULTI\r\n', b'$4\r\nPING\r\n')),
]


class FaultyProxy(threading.Thread):
    """Any number of connections to one server; one fault in all of them together."""
    def __init__(self, target, fault, seed):
        super().__init__(daemon=True)
        self.target = target
        self.fault = fault
        self.pattern = re.compile(fault[1]) if fault else None
        self.wait = random.Random(seed).randrange(1, 6)
        self.hits_max = SPOILT[fault[0]] if fault else 0
        self.hits = 0
        self.ending = False
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = self.listener.getsockname()
        self.peers = {}

    def run(self):
        while not self.ending:
            ready, _, _ = select.select([self.listener] + list(self.peers), [], [], 0.2)
            for sock in ready:
                if sock is self.listener:
                    self.accept()
                elif sock in self.peers:
                    self.forward(sock)
        for sock in [self.listener] + list(self.peers):
            sock.close()

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(self.target)
        for sock, peer, direction in ((client, server, 'request'), (server, client,
                                                                    'reply')):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[sock] = (peer, direction)

    def forward(self, sock):
        peer, direction = self.peers[sock]
        try:
            data = sock.recv(1 << 16)
            if data and self.fault and self.hits < self.hits_max and self.fault[
                    0] == direction:
                data = self.spoil(data)
            if data:
                peer.sendall(data)
            elif not (self.hits and self.fault[2] == b''):
                raise OSError('the end')
        except OSError:
            for end in (sock, peer):
                self.peers.pop(end, None)
                end.close()

    def spoil(self, data):
        """The data, with the fault in it when its time has come; b'' to close."""
        match = self.pattern.search(data)
        if match is None:
            return data
        self.wait -= 1
        if self.wait > 0:
            return data
        self.hits += 1
        if self.fault[2] is None:
            return b''
        return data[:match.start()] + match.expand(self.fault[2]) + data[match.end():]

    def stop(self):
        self.ending = True
        self.join(5)
