"""Raw bytes for throw-away connections: broken framing, inline lines, cut frames.

Each stream is (label, bytes, token), to be sent behind FIRST. The label begins the text
that a row of redis_differences.txt matches. Where the token is not empty, the stream
ends in an `ECHO token` request: its reply proves that the server is still in step.

FIRST is a RESP request, because a line on a connection that has not
sent RESP yet belongs to the server's own text dialect.
"""

from redis_resp import encode

FIRST = b'*1\r\n$4\r\nPING\r\n'

# Each is sent as it stands, in front of an ECHO.
FIXED = [
    ('multibulk', b'*-1\r\n'),
    ('multibulk', b'*0\r\n'),
    ('multibulk', b'*-2\r\n'),
    ('multibulk', b'*-1\r\n*0\r\n*0\r\n'),
    ('multibulk', b'*\r\n'),
    ('multibulk', b'*abc\r\n'),
    ('multibulk', b'*1x\r\n'),
    ('multibulk', b'* 1\r\n'),
    ('multibulk', b'*+1\r\n'),
    ('multibulk', b'*01\r\n$4\r\nPING\r\n'),
    ('multibulk', b'*1.0\r\n'),
    ('multibulk', b'*1048576\r\n'),
    ('multibulk', b'*1048577\r\n'),
    ('multibulk', b'*2147483647\r\n'),
    ('multibulk', b'*2147483648\r\n'),
    ('multibulk', b'*9223372036854775807\r\n'),
    ('multibulk', b'*9223372036854775808\r\n'),
    ('multibulk', b'*99999999999999999999\r\n'),
    ('multibulk', b'*-9223372036854775808\r\n'),
    ('bulk', b'*1\r\n$-1\r\n'),
    ('bulk', b'*1\r\n$\r\n'),
    ('bulk', b'*1\r\n$abc\r\n'),
    ('bulk', b'*1\r\n$536870913\r\nPING\r\n'),
    ('bulk', b'*1\r\n$ 4\r\nPING\r\n'),
    ('bulk', b'*1\r\n$+4\r\nPING\r\n'),
    ('bulk', b'*1\r\n$04\r\nPING\r\n'),
    ('bulk', b'*1\r\n$4x\r\nPING\r\n'),
    ('bulk', b'*1\r\n$-2\r\n'),
    ('bulk', b'*1\r\n$0\r\n\r\n'),
    ('bulk', b'*1\r\n$9223372036854775807\r\n'),
    ('bulk', b'*1\r\n$99999999999999999999\r\n'),
    ('bulk', b'*2\r\n$3\r\nGET\r\n$-1\r\n'),
    ('bulk', b'*2\r\n$3\r\nGET\r\n$x\r\n'),
    ('bulk', b'*1\r\n$3\r\nPING\r\n'),
    ('bulk', b'*1\r\n$5\r\nPING\r\n\r\n'),
    ('bulk', b'*1\r\n$4\r\nPINGxx'),
    ('bulk', b'*1\r\n$4\r\nPING\n\n'),
    ('dollar missing', b'*1\r\n4\r\nPING\r\n'),
    ('dollar missing', b'*1\r\nPING\r\n'),
    ('dollar missing', b'*1\r\n:4\r\n'),
    ('dollar missing', b'*1\r\n+PING\r\n'),
    ('dollar missing', b'*1\r\n\r\n'),
    ('dollar missing', b'*1\r\n*1\r\n'),
    ('dollar missing', b'*2\r\n$4\r\nECHO\r\nx\r\n'),
    ('nul in a line', b'*1\r\n\x00\r\n'),
    ('dollar missing', b'*1\r\n\xff\xff\r\n'),
    ('line end', b'*1\n$4\nPING\n'),
    ('line end', b'*1\r$4\rPING\r'),
    ('line end', b'*1\r\r\n$4\r\nPING\r\n'),
    ('empty line', b'\r\n'),
    ('empty line', b'\n'),
    ('empty line', b'\r\n\r\n\r\n'),
    ('empty line', b'   \r\n'),
    ('empty line', b'\t\r\n'),
    ('empty line', b'\r\r\n'),
    ('browser', b'POST / HTTP/1.1\r\n'),
    ('browser', b'Host: example.org\r\n'),
    ('browser', b'GET / HTTP/1.1\r\nHost: example.org\r\n\r\n'),
    ('browser', b'post / HTTP/1.1\r\n'),
    ('browser', b'OPTIONS * HTTP/1.1\r\n'),
    ('quit', b'*1\r\n$4\r\nQUIT\r\n'),
    ('quit', b'*1\r\n$4\r\nquit\r\n'),
    ('quit', b'QUIT\r\n'),
    ('quit', b'*2\r\n$4\r\nQUIT\r\n$1\r\nx\r\n'),
    ('quit', encode([b'MULTI']) + encode([b'QUIT'])),
    ('quit',
     encode([b'SET', b'raw', b'1']) + encode([b'QUIT']) + encode([b'SET', b'raw', b'2'])),
    ('unbalanced quotes', b'ECHO "abc\r\n'),
    ('unbalanced quotes', b"ECHO 'abc\r\n"),
    ('unbalanced quotes', b'ECHO "abc"def\r\n'),
    ('unbalanced quotes', b"ECHO 'a'b\r\n"),
    ('unbalanced quotes', b'"\r\n'),
    ('unbalanced quotes', b'ECHO "abc\\"\r\n'),
    ('unbalanced quotes', b'ECHO a"b\r\n'), ('nul in a line', b'ECHO \x00\r\n'),
    ('nul in a line', b'\x00\r\n'), ('nul in a line', b'*\x00\r\n'),
    ('cut short', b'*2\r\n$4\r\nECHO\r\n$100\r\n'),
    ('cut short', b'*3\r\n$3\r\nGET\r\n'),
]

# Longer than any line may be, and without an end. No ECHO: what is left unread when a
# server closes could cost us its reply.
LONG = [
    ('long line', b'x' * 65540),
    ('long line', b'ECHO ' + b'y' * 65536),
    ('long count', b'*' + b'1' * 65540),
    ('long bulk count', b'*1\r\n$' + b'1' * 65540),
]

LINES = [
    b'PING', b'ping', b'PING hello', b'ECHO hello', b'  ECHO   hello  ', b'\tECHO\thello',
    b'ECHO "a b"', b'ECHO "\\x41\\x00\\xff"', b'ECHO "\\n\\r\\t\\b\\a\\q\\\\\\""',
    b"ECHO 'a\\'b'", b"ECHO 'a\\nb'", b"ECHO ''", b'ECHO ""', b"ECHO a'b'",
    b'ECHO "\\x4"', b'ECHO "\\xzz"', b'ECHO \x01\x02', b'ECHO h\xc3\xa9',
    b'SET raw value', b'SET raw "two words" EX 5000', b'GET raw', b'get raw',
    b'STRLEN raw', b'APPEND raw x', b'MGET raw k1', b'EXISTS raw', b'GET', b'ECHO',
    b'ECHO a b', b'nosuch', b'nosuch a b', b'"PING"', b"'ECHO' x", b'$4', b'+OK', b':1',
    b'-ERR', b'SET raw', b'SET raw 1 nope', b'STRLEN "raw"', b'TYPE raw',
    b'TTL nosuchkey', b'GETRANGE raw 0 2', b'PING a b', b'DEL raw', b'OBJECT nope raw',
    b'CLIENT nope', b'ECHO a\rb'
]


def lines(generator):
    """Inline requests of every quoting, with either line end."""
    parts = []
    for _ in range(1 + int(generator.roll() * 8)):
        parts.append(generator.pick(LINES))
        parts.append(b'\n' if generator.roll() < 0.2 else b'\r\n')
        if generator.roll() < 0.2:
            parts.append(encode([b'GET', b'raw']))
    return b''.join(parts)


def fuzzed(generator):
    """A correct pipeline with one or two bytes changed, added or taken away.

    Only names that no single byte turns into a command of one server alone, and no
    bytes that a quote could come from: what unbalanced quotes do is known to differ.
    """
    parts = []
    for _ in range(2 + int(generator.roll() * 5)):
        value = generator.pick((b'v', b'value', b'12', b'a b', b'', b'zzzzzzzzzzzz',
                                b'\r\n', b'*1\r\n$4\r\nPING\r\n'))
        parts.append(
            encode(
                generator.pick(
                    ([b'SET', b'raw',
                      value], [b'GET', b'raw'], [b'APPEND', b'raw',
                                                 value], [b'STRLEN',
                                                          b'raw'], [b'ECHO', value],
                     [b'PING'], [b'EXISTS', b'raw',
                                 b'raw'], [b'GETRANGE', b'raw', b'0', b'-1']))))
    data = bytearray(b''.join(parts))
    for _ in range(1 if generator.roll() < 0.8 else 2):
        at = int(generator.roll() * len(data))
        byte = generator.pick(b'0123456789$*\r\n-+: \x01\xffaZ')
        roll = generator.roll()
        if roll < 0.5:
            data[at] = byte
        elif roll < 0.75:
            data.insert(at, byte)
        else:
            del data[at]
    return bytes(data)


def stream(generator):
    roll = generator.roll()
    token = generator.token()
    end = encode([b'ECHO', token])
    if roll < 0.03:
        label, data = generator.pick(LONG)
        return label, data, b''
    if roll < 0.40:
        label, data = generator.pick(FIXED)
    elif roll < 0.55:
        label, data = 'inline', lines(generator)
    else:
        # So that what the fuzzed requests answer does not depend on an earlier stream.
        label, data = 'fuzzed', encode([b'SET', b'raw', b'abc']) + fuzzed(generator)
    return label, data + end, token
