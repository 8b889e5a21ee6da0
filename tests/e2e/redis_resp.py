"""RESP2 and RESP3 over a raw socket: requests out, replies in, both made readable.

A reply becomes the plainest Python value that still shows its type on the wire:
    bulk string   bytes            integer   int           array   list
    all others    a tuple that begins with the marker: ('+', b'OK'), ('-', b'ERR ..'),
                  ('%', [key, value, ..]), ('~', [..]), ('>', [..]), (',', b'1.5'),
                  ('#', b't'), ('=', b'txt:..'), ('(', b'12'), ('!', b'ERR ..')
    the nulls     ('$-1',), ('*-1',) and ('_',), for they are three different replies
So `==` of two replies is the exact comparison of type and bytes.
"""

import socket
import time

OK = ('+', b'OK')
QUEUED = ('+', b'QUEUED')
NULL_BULK = ('$-1', )
NULL_ARRAY = ('*-1', )
NULL = ('_', )
NULLS = (NULL_BULK, NULL_ARRAY, NULL)

RECEIVE_BYTES = 1 << 18
REPLY_BYTES_MAX = 1 << 26
DEPTH_MAX = 16


class Incomplete(Exception):
    """The reply goes on behind the bytes that have arrived."""


class BadReply(Exception):
    """The bytes are not RESP."""


class Lost(Exception):
    """The connection ended, or stayed silent, before the reply was whole."""


def encode(args):
    parts = [b'*%d\r\n' % len(args)]
    for arg in args:
        parts.append(b'$%d\r\n%b\r\n' % (len(arg), arg))
    return b''.join(parts)


def _number(line):
    try:
        number = int(line)
    except ValueError:
        raise BadReply('not a number: %r' % line[:40])
    # int() forgives "+5", "05", " 5" and "1_0"; a client's parser need not.
    if b'%d' % number != line:
        raise BadReply('not a canonical number: %r' % line[:40])
    return number


def parse(buf, pos, depth=0):
    """The reply that begins at pos, and the position behind it."""
    end = buf.find(b'\r\n', pos)
    if end < 0:
        raise Incomplete()
    marker = buf[pos:pos + 1]
    line = buf[pos + 1:end]
    pos = end + 2
    if marker == b'$':
        size = _number(line)
        if size < 0:
            if size != -1:
                raise BadReply('bulk length %d' % size)
            return NULL_BULK, pos
        end = pos + size
        if len(buf) < end + 2:
            raise Incomplete()
        if buf[end:end + 2] != b'\r\n':
            raise BadReply('no line end behind a bulk string')
        return buf[pos:end], end + 2
    if marker == b':':
        return _number(line), pos
    if marker == b'+' or marker == b'-':
        if b'\n' in line or b'\r' in line:
            raise BadReply('line end inside a simple string: %r' % line[:40])
        return (marker.decode(), line), pos
    if marker in b'*%~>' and marker:
        count = _number(line)
        if count < 0:
            if marker != b'*' or count != -1:
                raise BadReply('length %d' % count)
            return NULL_ARRAY, pos
        if depth >= DEPTH_MAX:
            raise BadReply('nested too deeply')
        items = []
        for _ in range(count * 2 if marker == b'%' else count):
            item, pos = parse(buf, pos, depth + 1)
            items.append(item)
        return (items if marker == b'*' else (marker.decode(), items)), pos
    if marker == b'_':
        if line:
            raise BadReply('bytes in a null: %r' % line[:40])
        return NULL, pos
    if marker in b',#(' and marker:
        return (marker.decode(), line), pos
    if marker in b'=!' and marker:
        end = pos + _number(line)
        if len(buf) < end + 2:
            raise Incomplete()
        if buf[end:end + 2] != b'\r\n':
            raise BadReply('no line end behind a counted string')
        return (marker.decode(), buf[pos:end]), end + 2
    raise BadReply('a reply begins with %r' % buf[pos - len(line) - 3:][:40])


class Connection:
    """One socket to one server. Nothing is written or read behind the caller's back."""
    def __init__(self, address, timeout=10.0):
        self.sock = socket.create_connection(address, timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.buf = b''

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Lost('cannot send: %s' % error)

    def receive(self):
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except socket.timeout:
            raise Lost('no reply within %g s' % self.timeout)
        except OSError as error:
            raise Lost('cannot receive: %s' % error)
        if not data:
            raise Lost('the server closed the connection')
        self.buf += data
        if len(self.buf) > REPLY_BYTES_MAX:
            raise BadReply('an endless reply')

    def read(self, count, replies):
        """Append count replies to the list; what came before a failure stays in it."""
        pos = 0
        try:
            while count > 0:
                try:
                    reply, pos = parse(self.buf, pos)
                except Incomplete:
                    self.buf = self.buf[pos:]
                    pos = 0
                    self.receive()
                    continue
                replies.append(reply)
                count -= 1
        finally:
            self.buf = self.buf[pos:]
        return replies

    def ask(self, *args):
        self.send(encode(args))
        return self.read(1, [])[0]

    def close(self):
        self.sock.close()


def exchange(address, first, data, token, quiet, at_least=0, timeout=10.0):
    """Send raw bytes on a connection of their own and take what comes back.

    The first bytes are a correct request; its one-line reply is awaited before the rest
    is sent. The answer is (bytes, state). State is 'closed' when the server closed,
    'open' when the token came back, 'silent' when neither happened for `quiet` seconds.
    A server that has not sent at_least bytes yet is waited for up to the timeout.
    """
    got = b''
    limit = time.monotonic() + timeout
    try:
        sock = socket.create_connection(address, timeout)
    except OSError as error:
        return b'', 'refused: %s' % error
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.sendall(first)
            while not got.endswith(b'\r\n'):
                piece = sock.recv(RECEIVE_BYTES)
                if not piece:
                    return got, 'closed'
                got += piece
            sock.sendall(data)
        except OSError:
            pass                # closed while we wrote: the reading below says so
        while True:
            if token and got.endswith(token + b'\r\n'):
                return got, 'open'
            left = limit - time.monotonic()
            if left <= 0:
                return got, 'silent'
            sock.settimeout(min(quiet, left) if len(got) >= at_least else left)
            try:
                piece = sock.recv(RECEIVE_BYTES)
            except socket.timeout:
                return got, 'silent'
            except OSError:
                return got, 'closed'
            if not piece:
                return got, 'closed'
            got += piece


_ESCAPES = {0x0a: '\\n', 0x0d: '\\r', 0x09: '\\t', 0x22: '\\"', 0x5c: '\\\\'}


def escape(data, limit=0):
    """Bytes as text of one line, the way redis-cli prints and reads them."""
    tail = ''
    if limit and len(data) > limit:
        tail = '..(%d bytes)' % len(data)
        data = data[:limit]
    out = []
    for byte in data:
        if byte in _ESCAPES:
            out.append(_ESCAPES[byte])
        elif 0x20 <= byte < 0x7f:
            out.append(chr(byte))
        else:
            out.append('\\x%02x' % byte)
    return ''.join(out) + tail


def render_request(args, limit=0):
    words = []
    for arg in args:
        word = escape(arg, limit)
        if not arg or word != arg.decode('latin-1') or b' ' in arg or b"'" in arg:
            word = '"%s"' % word
        words.append(word)
    return ' '.join(words)


def render_reply(reply, limit=300):
    if reply is None:
        return '(no reply)'
    if isinstance(reply, bytes):
        return '"%s"' % escape(reply, limit)
    if isinstance(reply, int):
        return '(integer) %d' % reply
    if isinstance(reply, list):
        return render_items('[', reply, ']', limit)
    marker = reply[0]
    if reply in NULLS:
        return '(null, as %s)' % marker
    if marker == '%':
        return render_items('map{', reply[1], '}', limit)
    if marker == '~':
        return render_items('set{', reply[1], '}', limit)
    if marker == '>':
        return render_items('push[', reply[1], ']', limit)
    names = {
        '+': 'simple', '-': 'error', ',': 'double', '#': 'boolean', '=': 'verbatim', '(':
        'big number', '!': 'bulk error', 'raw': 'bytes', 'lost': 'lost'
    }
    return '(%s) %s' % (names[marker], escape(reply[1], limit))


def render_items(begin, items, end, limit):
    shown = [render_reply(item, limit) for item in items[:60]]
    if len(items) > 60:
        shown.append('.. %d in all' % len(items))
    return begin + ', '.join(shown) + end
