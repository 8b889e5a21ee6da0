"""The words that random requests are made of: keys, values, options, whole forms.

A form is a request as one string. In it K stands for the key, O for another key, V for a
value, T for seconds to live, _ for an empty word, and a backslash begins a Python escape:
"SETNAME with\\x20space".
"""

WORDS = [b'k%d' % i for i in range(12)]
NUMBER_KEYS = [b'n%d' % i for i in range(6)]
ODD_KEYS = [
    b'', b' ', b'key with spaces', b' lead', b'\x00', b'a\x00b', b'\x00\x01\xff\xfe',
    b'\r\n', b'two\r\nlines', b'*', b'k*', b'[k]', b'?', b'\\', b'"', b"it's",
    b'h\xc3\xa9llo', b'K1', b'{tag}1', b'x' * 300
]
KEYS = WORDS + NUMBER_KEYS + ODD_KEYS
KEY_SET = frozenset(KEYS)
HUGE_KEY = b'huge'

PATTERNS = [
    b'*', b'k*', b'k?', b'n[0-3]', b'k[^1]', b'k[1-', b'[', b'k[]]', b'k1*', b'\\*',
    b'*\\**', b'\\', b'*\\', b'', b'?', b'??', b'**', b'*e*', b'*:*', b'\x00*',
    b'[\x00-\x05]*', b'K*', b'[k]', b'\\[k\\]', b'k[2-0]', b'k[a\\-z0]', b'*\r\n*',
    b'h\xc3??llo', b'h*o', b'x*x*x', b'nosuch*', b'[^k]*', b'[^]*', b'k[^]', b'k\\1',
    b'\xff', b'*\xff*'
]

# Never a small positive whole number: put in place of a time it would make a key die
# at a moment that two servers do not share.
WEIRD = [
    b'', b'abc', b'-1', b'0', b'1.5', b'9223372036854775808', b'-9223372036854775809',
    b' 1', b'1 ', b'+1', b'\x00', b'\xff' * 10, b'NX', b'GET', b'x' * 200, b'0x10',
    b'nan', b'inf', b'1e3', b'-0', b'18446744073709551616', b'99999999999999999999999999',
    b'(', b'00', b'-', b'a\r\nb', b'%s%n'
]

INTEGERS = [
    b'9223372036854775807', b'-9223372036854775808', b'9223372036854775808',
    b'-9223372036854775809', b'9223372036854775806', b'-9223372036854775807', b'', b' 5',
    b'5 ', b'+5', b'05', b'-0', b'0', b'1e3', b'abc', b'0x1f', b'1.0', b'-',
    b'4611686018427387904', b'18446744073709551615', b'\x0012', b'12\x00', b'2147483648',
    b'-2147483649'
]

FLOATS = [
    b'0.1', b'-0.1', b'1.5', b'3.0e3', b'1e-7', b'5e-324', b'1e308',
    b'1.7976931348623157e308', b'1e4000', b'-1e4000', b'1e5000', b'inf', b'-inf', b'+inf',
    b'infinity', b'nan', b'', b' 1', b'1 ', b'+1.5', b'.5', b'5.', b'0x1p3', b'0x10',
    b'1e', b'abc', b'1,5', b'3.14159265358979323846', b'1e17', b'1e18',
    b'123456789012345678901234567890', b'0.00000000000000001', b'0.000000000000000001',
    b'-0', b'-0.0', b'1_000', b'100000000000000000000.5', b'9007199254740993', b'1.50',
    b'0.30000000000000004', b'1d5', b'1.5\x00', b'1e-4950', b'12345678.87654321'
]

TIME_EDGES = [
    b'0', b'-1', b'-100', b'9223372036854775807', b'-9223372036854775808',
    b'9223372036854775808', b'abc', b'1.5', b'', b' 500', b'500 ', b'-9223372036854776',
    b'99999999999999999999', b'0x500', b'-9223372036854775807'
]
# Only as seconds do these overflow.
SECONDS_EDGES = [
    b'9223372036854776', b'9223372036854775', b'-9223372036854775', b'9223372036854775000'
]
# A point in the past, far enough that no clock can disagree.
PAST = [b'1', b'100', b'1000000000']

VALUES = [b'hello', b'ohmytext', b'mynewtext', b'abcabcabcabd', b'aab', b'foobar']
SET_OPTIONS = [
    b'NX', b'XX', b'GET', b'KEEPTTL', b'EX', b'PX', b'EXAT', b'PXAT', b'GET', b'NX', b'XX'
]
SET_BAD = [b'PERSIST', b'EX', b'px', b'nope', b'', b'GT', b'exat']
BITS_BAD = [b'2', b'-1', b'', b'abc', b'1.0', b'01']
DATABASES_BAD = [
    b'16', b'-1', b'abc', b'', b'1.5', b'2147483648', b'9223372036854775808', b'100',
    b'00', b' 1'
]
PATTERN_PARTS = [
    b'*', b'?', b'k', b'n', b'1', b'2', b'[', b']', b'^', b'-', b'\\', b'[0-9]', b'[^k]',
    b' ', b'\x00', b'e'
]
TYPES = [b'string', b'STRING', b'hash', b'list', b'nosuch', b'']
CURSORS_BAD = [
    b'abc', b'', b'-1', b'1.5', b' 0', b'0 ', b'18446744073709551616', b'0x1',
    b'99999999999999999999999'
]
SCAN_BAD = [
    'COUNT 0', 'COUNT -1', 'COUNT abc', 'COUNT', 'MATCH', 'nope', 'TYPE',
    'COUNT 9223372036854775808', 'nope 1', '_'
]
OBJECT = [
    'OBJECT ' + word + ' K'
    for word in 'ENCODING REFCOUNT IDLETIME FREQ encoding Freq NOPE _ \\x00'.split()
]
MEMORY = [
    'MEMORY ' + form for form in [
        'USAGE K', 'USAGE K', 'usage K', 'USAGE K SAMPLES 0', 'USAGE K SAMPLES 5',
        'USAGE K SAMPLES -1', 'USAGE K SAMPLES abc', 'USAGE K SAMPLES _',
        'USAGE K SAMPLES 9223372036854775808', 'USAGE K nope 5', 'NOPE', '_', 'usag'
    ]
]
LOOKS = ['GET K', 'GET K', 'GET K', 'PTTL K', 'STRLEN K', 'EXPIRETIME K', 'TYPE K']

POSITIONS = [
    b'0', b'1', b'-1', b'-2', b'5', b'-100', b'100', b'1000', b'9223372036854775807',
    b'-9223372036854775808', b'9223372036854775808', b'', b'abc', b'1.0', b' 1',
    b'4294967295', b'-4294967296', b'2147483648'
]
BIT_OFFSETS_BAD = [
    b'-1', b'4294967296', b'9223372036854775807', b'9223372036854775808', b'abc', b'',
    b'1.5', b'#', b'#-1', b'#4294967296', b'#9223372036854775807', b'# 1', b'-0', b' 1',
    b'01'
]
BYTE_OFFSETS_BAD = [
    b'-1', b'536870912', b'9223372036854775807', b'9223372036854775808', b'abc', b'',
    b'1.5', b'-0', b'01'
]

BIT_TYPES = [b'u%d' % i for i in range(1, 64)] + [b'i%d' % i for i in range(1, 65)]
BIT_TYPES_USUAL = [b'u8', b'i8', b'u4', b'i16', b'u1', b'i64', b'u63', b'i5', b'u32']
BIT_TYPES_BAD = [
    b'u0', b'i0', b'u64', b'i65', b'u', b'i', b'8', b'', b'x8', b'U8', b'I8', b'u-1',
    b'u8 ', b'u08', b'u+8', b'u18446744073709551617'
]

KNOWN = """
append auth bitcount bitfield bitfield_ro bitop bitpos client command config copy dbsize
debug decr decrby del discard echo exec exists expire expireat expiretime flushall
flushdb get getbit getdel getex getrange getset hello incr incrby incrbyfloat info keys
lcs mget move mset msetnx multi object persist pexpire pexpireat pexpiretime ping psetex
pttl quit randomkey rename renamenx reset scan select set setbit setex setnx setrange
strlen substr swapdb time touch ttl type unlink unwatch watch
""".split()
KNOWN += [
    'client|id', 'client|setname', 'config|get', 'object|encoding', 'memory|usage',
    'command|count'
]

GETKEYS = [
    'SET k v', 'SET k v EX 10 GET', 'GET k', 'MSET a 1 b 2', 'MSET a 1 b', 'MSETNX a 1',
    'MGET a b c', 'DEL a b', 'UNLINK a', 'EXISTS a b', 'BITOP AND d a b', 'BITOP NOT d a',
    'LCS a b', 'LCS a b IDX', 'RENAME a b', 'COPY a b REPLACE', 'OBJECT ENCODING k',
    'MEMORY USAGE k', 'GETEX k PERSIST', 'APPEND k v', 'EXPIRE k 10', 'TOUCH a b',
    'WATCH a b', 'MOVE k 1', 'BITFIELD k GET u8 0', 'GETRANGE k 0 1', 'PING', 'TIME',
    'MULTI', 'nosuch k', 'nosuch k v', 'GET', 'GET a b', 'SET k', 'BITOP AND d',
    'RANDOMKEY', 'KEYS *', 'SCAN 0', 'DBSIZE', 'CONFIG GET a', 'SELECT 1', 'INCR n',
    'SETRANGE k 0 v'
]

WRITES = [
    'SET K V', 'SET K V', 'DEL K', 'APPEND K x', 'INCR K', 'EXPIRE K T', 'PERSIST K',
    'GET K', 'TOUCH K', 'RENAME K O', 'RENAME O K', 'SETRANGE K 0 _', 'SETNX K v',
    'MSET O 1', 'COPY O K REPLACE', 'FLUSHDB', 'SWAPDB 0 1', 'MOVE K 1', 'SETBIT K 7 1',
    'GETEX K PERSIST', 'GETDEL K', 'BITFIELD K GET u8 0', 'BITOP AND K O', 'EXPIREAT K 1',
    'FLUSHALL'
]
SILENT = ['SET K V', 'GET K', 'APPEND K q', 'nosuch K', 'GET', 'INCR K', 'DEL K']
KEEP_OR_DROP_TIME = [
    'APPEND K z', 'INCR K', 'GETSET K z', 'SET K z KEEPTTL', 'SETRANGE K 1 z'
]
LAST_BREATH = [
    'SET K v PX 1', 'PEXPIRE K 1', 'PSETEX K 1 v', 'GETEX K PX 1', 'PEXPIRE K 2 NX'
]
FIRST_LOOK = [
    'EXISTS K', 'GET K', 'TTL K', 'STRLEN K', 'PERSIST K', 'APPEND K new', 'INCR K',
    'SETNX K v', 'SET K v XX', 'RENAME K k0', 'COPY K k0 REPLACE', 'DEL K',
    'OBJECT ENCODING K', 'SET K v KEEPTTL', 'MGET K k1', 'SETRANGE K 2 v', 'GETDEL K'
]

AUTH = [
    'AUTH secret', 'AUTH _', 'AUTH nobody secret', 'AUTH default secret',
    'AUTH default _', 'AUTH a b c', 'AUTH'
]
HELLO_BAD = [
    'HELLO 4', 'HELLO 1', 'HELLO 0', 'HELLO -1', 'HELLO abc', 'HELLO _', 'HELLO 3.0',
    'HELLO 9223372036854775808', 'HELLO \\x203', 'HELLO 02'
]
HELLO_OPTIONS = [
    'SETNAME someone', 'SETNAME with\\x20space', 'SETNAME', 'AUTH default x',
    'AUTH nobody x', 'AUTH x', 'NOPE', 'setname _', '_ _'
]

CLIENT_NAMES = [
    'worker', 'a', '_', 'with\\x20space', 'new\\nline', 'caf\\xc3\\xa9', '~', '\\x7f',
    '!', 'x' * 100, '\\x00'
]
# Only kills that match nobody: SKIPME alone would match every connection.
CLIENT = (
    ['CLIENT SETNAME ' + name for name in CLIENT_NAMES] * 2 +
    ['CLIENT GETNAME', 'CLIENT getname', 'CLIENT ID', 'CLIENT INFO'] * 5 + [
        'CLIENT ' + form for form in [
            'LIST', 'LIST', 'LIST', 'LIST TYPE normal', 'LIST TYPE NORMAL',
            'LIST TYPE pubsub', 'LIST TYPE nope', 'LIST TYPE', 'LIST ID', 'LIST ID abc',
            'LIST ID 0', 'LIST ID 999999999', 'LIST nope', 'LIST TYPE normal x',
            'NO-EVICT ON', 'NO-EVICT OFF', 'no-evict on', 'no-evict off', 'NO-EVICT nope',
            'NO-EVICT _', 'NO-TOUCH ON', 'NO-TOUCH OFF', 'SETINFO LIB-NAME redis-py',
            'SETINFO LIB-VER 1.2.3', 'KILL 1.2.3.4:5', 'KILL _', 'KILL nope',
            'KILL ID 999999999', 'KILL ID abc', 'KILL ID 0', 'KILL ID -1',
            'KILL ADDR 1.2.3.4:5', 'KILL LADDR 1.2.3.4:5', 'KILL TYPE nope',
            'KILL TYPE pubsub', 'KILL USER nobody', 'KILL nope x',
            'KILL ID 999999999 SKIPME yes', 'KILL ID 999999999 SKIPME maybe',
            'KILL ID 999999999 TYPE', 'KILL', 'UNPAUSE', 'UNPAUSE x', 'PAUSE',
            'PAUSE abc', 'REPLY ON', 'REPLY on', 'REPLY nope', 'REPLY', 'REPLY _',
            'REPLY ON x', 'NOPE', '_', 'nope a b', 'MAINT_NOTIFICATIONS ON', '\\x00\\xff',
            'x' * 300, 'two\\r\\nlines', '', 'GETNAMES', 'TRACKING nope'
        ]
    ])

CONFIG = [
    'CONFIG ' + form for form in [
        'GET maxmemory', 'GET MAXMEMORY', 'get save appendonly', 'GET databases',
        'GET timeout timeout', 'GET max*', 'GET *', 'GET nosuch', 'GET nosuch*', 'GET _',
        'GET notify-keyspace-events', 'GET appendfsync', 'GET slowlog-log-slower-tha[n]',
        'GET maxmemory-polic?', 'GET dir port bind', 'GET requirepass',
        'GET maxclients nosuch', 'GET replica-read-only', 'GET proto-max-bulk-len',
        'GET slowlog-log-slower-than', 'GET notify-keyspace-events timeout', 'GET',
        'SET timeout 0', 'SET TIMEOUT 0', 'SET tcp-keepalive 300',
        'SET slowlog-log-slower-than -1', 'SET tcp-keepalive abc',
        'SET timeout abc', 'SET timeout -1', 'SET timeout _',
        'SET notify-keyspace-events _', 'SET nosuch 1', 'SET nosuch', 'SET timeout',
        'SET timeout 0 tcp-keepalive 300', 'SET timeout 0 timeout 0',
        'SET timeout 0 nosuch 1', 'SET timeout 0 nosuch', 'SET databases 5',
        'SET maxmemory-policy noeviction', 'SET tcp-keepalive 300 timeout abc',
        'SET _ _', 'RESETSTAT', 'RESETSTAT x', 'NOPE', '_', '', 'nope a'
    ]
]

COMMAND = [
    'COMMAND ' + form for form in [
        'COUNT', 'COUNT', 'COUNT x', 'LIST', 'LIST nope', 'LIST FILTERBY PATTERN get',
        'LIST FILTERBY nope x', 'LIST FILTERBY PATTERN', 'LIST FILTERBY PATTERN nosuch*',
        'DOCS get', 'DOCS nosuch', 'NOPE', '_', 'GETKEYS', 'INFO nosuch', 'INFO _ get',
        'INFO g*', 'INFO \\x00'
    ]
]

DEBUG = ['DEBUG', 'DEBUG SLEEP 0', 'DEBUG OBJECT K', 'DEBUG nope']
INFO = [
    'INFO', 'INFO server', 'INFO nosuchsection', 'INFO keyspace memory', 'INFO everything'
]

# On a key of its own: values past the sizes that buffers and slabs are made for.
HUGE = [
    'STRLEN', 'BITCOUNT', 'GET', 'GET', 'DEL', 'BITPOS 1 7000', 'BITPOS 0 199999',
    'GETRANGE 5 99999', 'GETRANGE -70000 -1', 'GETRANGE 65530 65540',
    'SETRANGE 70000 xyz', 'SETBIT 300000 1'
]

# Names nobody knows, and arguments that are hard to quote in an error.
UNKNOWN = [
    b'nosuch', b'NOSUCH', b'foo|bar', b'', b'g\x00t', b'\xff\xfe', b'new\r\nline',
    b'y' * 100, b'y' * 127, b'y' * 128, b'y' * 129, b'y' * 300, b"quo'te", b'a b',
    b'%s%d', b'GETT', b'ping ', b' get', b'\t'
]
HARD = [
    b'', b'a', b'with space', b"quo'te", b'\x00', b'a\x00b', b'\r\n', b'\xff', b'z' * 50,
    b'z' * 100, b'z' * 127, b'z' * 128, b'z' * 200
]

# What a command with subcommands is counted under in the summary.
SUBCOMMANDS = {
    'CLIENT': ('SETNAME GETNAME ID INFO LIST REPLY NO-EVICT NO-TOUCH KILL UNPAUSE '
               'SETINFO').split(),
    'COMMAND': 'COUNT INFO LIST GETKEYS DOCS'.split(),
    'CONFIG': 'GET SET RESETSTAT'.split(),
    'MEMORY': ['USAGE'],
    'OBJECT': 'ENCODING REFCOUNT FREQ IDLETIME'.split(),
}
