"""Random requests, right and wrong ones, over a few keys.

One Generator per run, seeded: the same seed gives the same requests. Three things are
kept out on purpose, because two servers cannot answer them alike:
  - a time to live between 1 and 99999 ms, outside the slice that waits for its end;
  - one relative time used twice, which GT and LT would compare across two clocks;
  - an offset just below the size limit, which would allocate hundreds of megabytes.
"""

import bisect
import random

import redis_words as words

FAR_FUTURE_S = 4102444800       # the year 2100
MUTATED = 0.07                  # this share of the requests is made wrong
LOOKED_AT = 0.15                # and after this share a key is looked at


class Request:
    """One request and how its reply is to be compared."""

    __slots__ = ('args', 'name', 'exact', 'replies', 'number')

    def __init__(self, args, name, exact=False, replies=1):
        self.args = args
        self.name = name        # the row of the summary: "SET", "CLIENT LIST", ..
        self.exact = exact      # True: no rule of its command applies
        self.replies = replies  # how many replies it gets: 0 while CLIENT REPLY is off
        self.number = 0


def name_of(args, name):
    """The row of the summary a request belongs to."""
    if name == 'nosuch':
        return 'UNKNOWN'
    if name in words.SUBCOMMANDS and len(args) > 1:
        sub = args[1].decode('latin-1').upper()
        return name + ' ' + (sub if sub in words.SUBCOMMANDS[name] else '(other)')
    return name


class Generator:
    def __init__(self, seed, protocols=(2, 3), only=None):
        self.random = random.Random(seed)
        self.roll = self.random.random
        self.protocols = protocols
        self.focus = words.KEYS
        self.follow = []        # what must come right behind the request being made
        self.tokens = 0
        self.deaths = 0         # at most so many keys were made to die by themselves
        self.set_only(only)

    def set_only(self, only):
        rows = self.commands()
        known = {name for _, name, _ in rows} | {'RAW'}
        self.only = set(only) if only else None
        if self.only:
            if self.only - known:
                raise ValueError('no such command here: %s; there are: %s' % (
                    ', '.join(sorted(self.only - known)), ', '.join(sorted(known))))
            # Some keys must exist, whatever is tested.
            rows = [row for row in rows if row[1] in self.only] or [(1, 'SET', self.set)]
            total = sum(weight for weight, _, _ in rows)
            rows += [(total * 0.2, 'SET', self.set), (total * 0.03, 'DEL', self.delete)]
        self.makers = [(name, make) for _, name, make in rows]
        self.sums = []
        for weight, _, _ in rows:
            self.sums.append(weight + (self.sums[-1] if self.sums else 0))

    def wants(self, *names):
        """True when a scenario made of these commands may run."""
        return self.only is None or bool(self.only.intersection(names))

    # ---- choosing -------------------------------------------------------------

    def chance(self, share):
        return self.roll() < share

    def below(self, limit):
        return int(self.roll() * limit)

    def pick(self, items):
        return items[int(self.roll() * len(items))]

    def mostly(self, share, good, bad):
        """One of the good words, or else one of the bad."""
        return self.pick(good if self.roll() < share else bad)

    def case(self, word):
        """The word in upper, lower or mixed case."""
        roll = self.roll()
        if roll < 0.7:
            return word
        if roll < 0.85:
            return word.lower()
        return bytes(c | 0x20 if 0x41 <= c <= 0x5a and self.chance(0.5) else c
                     for c in word)

    def key(self):
        return self.pick(self.focus if self.roll() < 0.6 else words.KEYS)

    def number_key(self):
        return self.pick(words.NUMBER_KEYS) if self.chance(0.7) else self.key()

    def some_keys(self, most):
        count = 1 if self.chance(0.5) else 1 + self.below(most)
        return [self.key() for _ in range(count)]

    def new_focus(self):
        """A handful of keys that the next requests prefer, so that they meet."""
        self.focus = [self.pick(words.KEYS) for _ in range(4)]

    def small(self, limit):
        return b'%d' % int(self.roll() * limit)

    def around(self, size):
        """A whole number near zero, of at most half the size."""
        return b'%d' % int((self.roll() - 0.5) * size)

    def value(self):
        roll = self.roll()
        if roll < 0.30:
            return self.around(10 ** self.below(19))
        if roll < 0.36:
            return self.pick(words.INTEGERS)
        if roll < 0.44:
            return self.pick(words.FLOATS)
        if roll < 0.50:
            return b'%.*f' % (self.below(18), (self.roll() - 0.5) * 1000)
        if roll < 0.54:
            return b''
        if roll < 0.66:
            return self.pick(words.VALUES)
        if roll < 0.80:
            return self.random.randbytes(1 + self.below(24))
        if roll < 0.86:
            return b'y' * (43 + self.below(4))      # where embstr ends
        if roll < 0.90:
            return self.pick((b'\xff', b'\x00', b'\xf0\x0f')) * (1 + self.below(40))
        if roll < 0.98:
            return bytes(self.random.choices(b'abcd', k=1 + self.below(200)))
        return self.random.randbytes(200 + self.below(3800))

    def integer(self):
        if self.chance(0.75):
            return self.around(10 ** (1 + self.below(4)))
        return self.pick(words.INTEGERS)

    def floating(self):
        roll = self.roll()
        if roll < 0.3:
            return self.around(2000)
        if roll < 0.6:
            return b'%.*f' % (self.below(18), (self.roll() - 0.5) * 10 ** self.below(12))
        return self.pick(words.FLOATS)

    def position(self):
        return self.around(60) if self.chance(0.75) else self.pick(words.POSITIONS)

    def time_to_live(self, unit):
        """A time to live: long and never the same twice, or wrong, or absurd."""
        roll = self.roll()
        seconds = unit == 's'
        if roll < 0.85:
            return b'%d' % (100 + self.below(10**6) if seconds
                            else 10**5 + self.below(10**9))
        if roll < 0.96:
            return self.pick(words.TIME_EDGES + words.SECONDS_EDGES if seconds
                             else words.TIME_EDGES)
        # Valid in both units, three hundred million years away.
        return b'%d' % ((9223370000000000 if seconds else 9223370000000000000)
                        - self.below(10**12))

    def deadline(self, unit):
        """A point in time: in the next century, wrong, or long past."""
        roll = self.roll()
        if roll < 0.7:
            seconds = FAR_FUTURE_S + self.below(10**6)
            return b'%d' % (seconds if unit == 's' else seconds * 1000 + self.below(1000))
        if roll < 0.88:
            return self.pick(words.TIME_EDGES + words.SECONDS_EDGES)
        return self.pick(words.PAST)

    def expiry(self, key, word):
        """The words EX n, PXAT n, .."""
        unit = 'ms' if word.startswith(b'PX') else 's'
        if not word.endswith(b'AT'):
            return [self.case(word), self.time_to_live(unit)]
        # A deadline in the past may leave a key that nobody has looked at yet, and when
        # it is swept is each server's own affair: look at it.
        self.follow.append(Request([b'EXISTS', key], 'EXISTS'))
        self.deaths += 1
        return [self.case(word), self.deadline(unit)]

    def token(self):
        self.tokens += 1
        return b'token-%d' % self.tokens

    # ---- forms ----------------------------------------------------------------

    def fill(self, form, key=None):
        """The words of a form, see redis_words.py."""
        args = []
        for word in form.split():
            if word == 'K':
                args.append(self.key() if key is None else key)
            elif word == 'O':
                args.append(self.key())
            elif word == 'V':
                args.append(self.value())
            elif word == 'T':
                args.append(self.time_to_live('s'))
            elif word == '_':
                args.append(b'')
            elif '\\' in word:
                args.append(word.encode().decode('unicode_escape').encode('latin-1'))
            else:
                args.append(word.encode())
        return args

    def form(self, form, key, replies=1):
        args = self.fill(form, key)
        return Request(args, name_of(args, args[0].decode()), False, replies)

    def one_of(self, forms):
        return lambda: self.fill(self.pick(forms))

    def keyed(self, form):
        """A maker for one form whose K may be any key."""
        return self.one_of([form])

    def keys_after(self, form, most=5):
        return lambda: self.fill(form) + self.some_keys(most)

    # ---- strings --------------------------------------------------------------

    def set(self):
        key = self.key() if self.chance(0.85) else self.pick(words.NUMBER_KEYS)
        args = [b'SET', key, self.value() if self.chance(0.9) else self.small(1000)]
        if self.chance(0.5):
            return args
        for _ in range(1 if self.chance(0.6) else 1 + self.below(4)):
            word = self.pick(words.SET_OPTIONS)
            if word[:2] in (b'EX', b'PX'):
                args += self.expiry(key, word)
            else:
                args.append(self.case(word))
        if self.chance(0.03):
            args.append(self.pick(words.SET_BAD))
        return args

    def getex(self):
        args = [b'GETEX', self.key()]
        for _ in range(1 if self.chance(0.9) else self.below(3)):
            word = self.pick((b'PERSIST', b'EX', b'PX', b'EXAT', b'PXAT'))
            if word == b'PERSIST':
                args.append(self.case(word))
            else:
                args += self.expiry(args[1], word)
        if self.chance(0.04):
            args.append(self.pick((b'NX', b'KEEPTTL', b'GET', b'EX', b'')))
        return args

    def delete(self):
        return [b'DEL'] + self.some_keys(4)

    def many(self, name):
        def make():
            args = [name]
            for _ in range(1 + self.below(4)):
                args += (self.key(), self.value())
            if self.chance(0.05):
                args.pop()
            return args
        return make

    def setex(self, name, unit):
        return lambda: [name, self.key(), self.time_to_live(unit), self.value()]

    def number(self, name):
        return lambda: [name, self.number_key()]

    def counted(self, name):
        return lambda: [name, self.number_key(), self.integer()]

    def incrbyfloat(self):
        return [b'INCRBYFLOAT', self.number_key(), self.floating()]

    def getrange(self, name):
        return lambda: [name, self.key(), self.position(), self.position()]

    def setrange(self):
        roll = self.roll()
        if roll < 0.8:
            offset = self.small(80 if roll < 0.75 else 4000)
        else:
            offset = self.pick(words.BYTE_OFFSETS_BAD)
        return [b'SETRANGE', self.key(), offset, self.value()]

    def lcs(self):
        args = [b'LCS', self.key(), self.key()]
        for word in (b'LEN', b'IDX', b'MINMATCHLEN', b'WITHMATCHLEN'):
            if self.chance(0.15 if word == b'LEN' else 0.4):
                args.append(self.case(word))
                if word == b'MINMATCHLEN':
                    args.append(self.mostly(0.9, (b'0', b'1', b'2', b'4', b'-5', b'1000'),
                                            words.INTEGERS))
        if self.chance(0.04):
            args.append(self.pick((b'nope', b'', b'MINMATCHLEN')))
        return args

    def huge(self):
        roll = self.roll()
        if roll < 0.25:
            value = self.random.randbytes(4096) * (4 + self.below(60))
            return [b'SET', words.HUGE_KEY, value]
        if roll < 0.4:
            value = self.random.randbytes(3000) * self.below(5)
            return [b'APPEND', words.HUGE_KEY, value]
        name, *rest = self.fill(self.pick(words.HUGE))
        return [name, words.HUGE_KEY] + rest

    # ---- bits -----------------------------------------------------------------

    def bit_offset(self):
        roll = self.roll()
        if roll < 0.85:
            return self.small(300 if roll < 0.8 else 30000)
        return self.pick(words.BIT_OFFSETS_BAD)

    def setbit(self):
        bit = self.mostly(0.9, (b'0', b'1'), words.BITS_BAD)
        return [b'SETBIT', self.key(), self.bit_offset(), bit]

    def getbit(self):
        offset = self.bit_offset() if self.chance(0.95) else b'4294967295'
        return [b'GETBIT', self.key(), offset]

    def bit_range(self):
        args = []
        if self.chance(0.75):
            args.append(self.position())
            if self.chance(0.85):
                args.append(self.position())
                if self.chance(0.5):
                    unit = self.mostly(0.95, (b'BIT', b'BYTE'), words.WEIRD)
                    args.append(self.case(unit))
        return args

    def bitcount(self):
        return [b'BITCOUNT', self.key()] + self.bit_range()

    def bitpos(self):
        bit = self.mostly(0.92, (b'0', b'1'), words.BITS_BAD)
        return [b'BITPOS', self.key(), bit] + self.bit_range()

    def bitop(self):
        word = self.mostly(0.95, (b'AND', b'OR', b'XOR', b'NOT'), (b'NAND', b'', b'DIFF'))
        count = 1 if word == b'NOT' and self.chance(0.9) else 1 + self.below(4)
        return [b'BITOP', self.case(word)] + [self.key() for _ in range(1 + count)]

    def bit_type(self):
        if self.chance(0.4):
            return self.pick(words.BIT_TYPES_USUAL)
        return self.mostly(0.88, words.BIT_TYPES, words.BIT_TYPES_BAD)

    def field_offset(self):
        roll = self.roll()
        if roll < 0.6:
            return self.small(200)
        return b'#' + self.small(20) if roll < 0.92 else self.pick(words.BIT_OFFSETS_BAD)

    def field_value(self):
        roll = self.roll()
        if roll < 0.85:
            return self.around(2 ** (1 + self.below(10 if roll < 0.6 else 63)))
        return self.pick(words.INTEGERS)

    def bitfield(self):
        args = [b'BITFIELD', self.key()]
        for _ in range(self.below(5)):
            if self.chance(0.35):
                mode = self.mostly(0.96, (b'WRAP', b'SAT', b'FAIL'), (b'NONE', b''))
                args += (self.case(b'OVERFLOW'), self.case(mode))
            word = self.pick((b'GET', b'SET', b'INCRBY'))
            args += (self.case(word), self.bit_type(), self.field_offset())
            if word != b'GET':
                args.append(self.field_value())
        if self.chance(0.03):
            args.append(self.pick((b'NOPE', b'GET', b'', b'OVERFLOW')))
        return args

    def bitfield_ro(self):
        args = [b'BITFIELD_RO', self.key()]
        for _ in range(self.below(4)):
            args += (self.case(b'GET'), self.bit_type(), self.field_offset())
        if self.chance(0.1):
            args += self.fill(self.pick(('SET u8 0 1', 'INCRBY u8 0 1', 'OVERFLOW SAT')))
        return args

    # ---- keys -----------------------------------------------------------------

    def database(self):
        roll = self.roll()
        if roll < 0.6:
            return b'0'
        return self.pick((b'1', b'2', b'9', b'15') if roll < 0.9 else words.DATABASES_BAD)

    def copy(self):
        args = [b'COPY', self.key(), self.key()]
        if self.chance(0.5):
            args.append(self.case(b'REPLACE'))
        if self.chance(0.4):
            args += (self.case(b'DB'), self.database())
        if self.chance(0.06):
            args.append(self.pick((b'REPLACE', b'DB', b'nope', b'')))
        return args

    def random_key(self):
        # The rule for RANDOMKEY looks the key up in the reply to the KEYS behind it.
        self.follow.append(Request([b'KEYS', b'*'], 'KEYS'))
        return [b'RANDOMKEY']

    def pattern(self):
        if self.chance(0.7):
            return self.pick(words.PATTERNS)
        return b''.join(self.pick(words.PATTERN_PARTS) for _ in range(1 + self.below(4)))

    def keys(self):
        return [b'KEYS', self.pattern()]

    def scan_options(self):
        args = []
        if self.chance(0.5):
            args += (self.case(b'MATCH'), self.pattern())
        if self.chance(0.6):
            args += (self.case(b'COUNT'), self.pick((b'1', b'3', b'10', b'100', b'1000')))
        if self.chance(0.25):
            args += (self.case(b'TYPE'), self.pick(words.TYPES))
        return args

    def scan(self):
        """One step alone. What a whole walk yields is compared by the walk scenario."""
        cursor = self.mostly(0.7, (b'0',), words.CURSORS_BAD)
        args = [b'SCAN', cursor] + self.scan_options()
        if self.chance(0.3):
            args += self.fill(self.pick(words.SCAN_BAD))
        return args

    def expire(self, name):
        unit = 'ms' if name.startswith(b'P') else 's'
        when = self.deadline if name.endswith(b'AT') else self.time_to_live

        def make():
            args = [name, self.key(), when(unit)]
            if self.chance(0.5):
                for _ in range(1 if self.chance(0.8) else 2):
                    args.append(self.case(self.pick((b'NX', b'XX', b'GT', b'LT'))))
            if self.chance(0.03):
                args.append(self.pick((b'nope', b'', b'EX', b'KEEPTTL')))
            return args
        return make

    def flush(self, name):
        def make():
            args = [name]
            if self.chance(0.5):
                args.append(self.case(self.mostly(0.8, (b'SYNC', b'ASYNC'),
                                                  (b'nope', b'', b'NOW'))))
            return args
        return make

    def databases(self, form, count=1):
        return lambda: self.fill(form) + [self.database() for _ in range(count)]

    # ---- the connection -------------------------------------------------------

    def hello(self):
        roll = self.roll()
        if roll < 0.15:
            return [b'HELLO']
        if roll < 0.75:
            args = [b'HELLO', b'%d' % self.pick(self.protocols)]
        else:
            args = self.fill(self.pick(words.HELLO_BAD))
        if self.chance(0.4):
            for _ in range(1 + self.below(2)):
                args += self.fill(self.pick(words.HELLO_OPTIONS))
        return args

    def command(self):
        roll = self.roll()
        if roll < 0.5:
            names = [self.case(self.pick(words.KNOWN).upper().encode())
                     for _ in range(1 + self.below(3))]
            return [b'COMMAND', self.case(b'INFO')] + names
        if roll < 0.8:
            return [b'COMMAND', b'GETKEYS'] + self.pick(words.GETKEYS).encode().split()
        return self.fill(self.pick(words.COMMAND))

    def unknown(self):
        return [self.pick(words.UNKNOWN)] + [
            self.pick(words.HARD) if self.chance(0.9) else self.value()
            for _ in range(self.below(6))]

    # ---- the table ------------------------------------------------------------

    def commands(self):
        """(weight, name, maker). The weights put most requests where state is made."""
        return [
            (60, 'SET', self.set),
            (20, 'GET', self.keyed('GET K')),
            (6, 'GETSET', self.keyed('GETSET K V')),
            (6, 'GETDEL', self.keyed('GETDEL K')),
            (14, 'GETEX', self.getex),
            (6, 'SETNX', self.keyed('SETNX K V')),
            (6, 'SETEX', self.setex(b'SETEX', 's')),
            (6, 'PSETEX', self.setex(b'PSETEX', 'ms')),
            (8, 'MGET', self.keys_after('MGET')),
            (8, 'MSET', self.many(b'MSET')),
            (6, 'MSETNX', self.many(b'MSETNX')),
            (7, 'STRLEN', self.keyed('STRLEN K')),
            (10, 'APPEND', self.keyed('APPEND K V')),
            (9, 'GETRANGE', self.getrange(b'GETRANGE')),
            (4, 'SUBSTR', self.getrange(b'SUBSTR')),
            (9, 'SETRANGE', self.setrange),
            (7, 'INCR', self.number(b'INCR')),
            (7, 'DECR', self.number(b'DECR')),
            (8, 'INCRBY', self.counted(b'INCRBY')),
            (8, 'DECRBY', self.counted(b'DECRBY')),
            (12, 'INCRBYFLOAT', self.incrbyfloat),
            (8, 'LCS', self.lcs),
            (1.2, 'HUGE', self.huge),
            (9, 'SETBIT', self.setbit),
            (6, 'GETBIT', self.getbit),
            (9, 'BITCOUNT', self.bitcount),
            (9, 'BITPOS', self.bitpos),
            (9, 'BITOP', self.bitop),
            (16, 'BITFIELD', self.bitfield),
            (6, 'BITFIELD_RO', self.bitfield_ro),
            (8, 'DEL', self.delete),
            (5, 'UNLINK', self.keys_after('UNLINK')),
            (6, 'EXISTS', self.keys_after('EXISTS')),
            (5, 'TYPE', self.keyed('TYPE K')),
            (4, 'TOUCH', self.keys_after('TOUCH')),
            (7, 'RENAME', self.keyed('RENAME K O')),
            (6, 'RENAMENX', self.keyed('RENAMENX K O')),
            (10, 'COPY', self.copy),
            (3, 'RANDOMKEY', self.random_key),
            (5, 'KEYS', self.keys),
            (5, 'SCAN', self.scan),
            (4, 'DBSIZE', self.keyed('DBSIZE')),
            (9, 'EXPIRE', self.expire(b'EXPIRE')),
            (9, 'PEXPIRE', self.expire(b'PEXPIRE')),
            (9, 'EXPIREAT', self.expire(b'EXPIREAT')),
            (9, 'PEXPIREAT', self.expire(b'PEXPIREAT')),
            (7, 'TTL', self.keyed('TTL K')),
            (7, 'PTTL', self.keyed('PTTL K')),
            (5, 'EXPIRETIME', self.keyed('EXPIRETIME K')),
            (5, 'PEXPIRETIME', self.keyed('PEXPIRETIME K')),
            (5, 'PERSIST', self.keyed('PERSIST K')),
            (5, 'OBJECT', self.one_of(words.OBJECT)),
            (3, 'MEMORY', self.one_of(words.MEMORY)),
            (0.3, 'FLUSHALL', self.flush(b'FLUSHALL')),
            (0.5, 'FLUSHDB', self.flush(b'FLUSHDB')),
            (8, 'SELECT', self.databases('SELECT')),
            (5, 'MOVE', self.databases('MOVE K')),
            (2, 'SWAPDB', self.databases('SWAPDB', 2)),
            (6, 'MULTI', self.keyed('MULTI')),
            (9, 'EXEC', self.keyed('EXEC')),
            (3, 'DISCARD', self.keyed('DISCARD')),
            (4, 'WATCH', self.keys_after('WATCH')),
            (2, 'UNWATCH', self.keyed('UNWATCH')),
            (4, 'PING', self.one_of(['PING', 'PING', 'PING V'])),
            (3, 'ECHO', self.keyed('ECHO V')),
            (2, 'AUTH', self.one_of(words.AUTH)),
            (3, 'HELLO', self.hello),
            (1.5, 'RESET', self.keyed('RESET')),
            (2, 'TIME', self.keyed('TIME')),
            (9, 'CLIENT', self.one_of(words.CLIENT)),
            (5, 'CONFIG', self.one_of(words.CONFIG)),
            (5, 'COMMAND', self.command),
            (1, 'DEBUG', self.one_of(words.DEBUG)),
            (1, 'INFO', self.one_of(words.INFO)),
            (4, 'UNKNOWN', self.unknown),
        ]

    def add(self, batch):
        """Append one request, and what must follow it, to the batch."""
        at = bisect.bisect_left(self.sums, self.roll() * self.sums[-1])
        name, make = self.makers[at]
        args = make()
        # What follows is about the key of this request, which must not become another.
        if self.chance(MUTATED) and not self.follow and may_mutate(name, args):
            args = self.mutate(args)
        if name == 'HUGE':
            name = args[0].decode()
        elif name != 'UNKNOWN':
            name = name_of(args, name)
            args[0] = self.case(args[0])
        batch.append(Request(args, name))
        if self.chance(LOOKED_AT):
            self.look(args)
        if self.follow:
            batch += self.follow
            self.follow = []

    def look(self, args):
        """Look at a key of the request at once: a wrong state may not live long."""
        last = len(args) - 1
        key = args[last if self.chance(0.3) else min(last, 1 + self.below(2))]
        if key in words.KEY_SET:
            self.follow.append(self.form(self.pick(words.LOOKS), key))

    def mutate(self, args):
        """The request made wrong: too few arguments, too many, or an odd one."""
        args = list(args)
        roll = self.roll()
        last = len(args) - 1
        if roll < 0.4 and last > 0:
            del args[1 + self.below(last)]
        elif roll < 0.5:
            args = args[:1]
        elif roll < 0.7 or last == 0:
            args.append(self.pick(words.WEIRD))
        elif roll < 0.8:
            args.append(args[1 + self.below(last)])
        else:
            args[1 + self.below(last)] = self.pick(words.WEIRD)
        return args

    def batch(self, count):
        self.new_focus()
        batch = []
        while len(batch) < count:
            self.add(batch)
        return batch

    # ---- fixed sequences ------------------------------------------------------

    def request(self, text, *args, exact=False, replies=1):
        args = text.encode().split() + list(args)
        return Request(args, name_of(args, args[0].decode()), exact, replies)

    def write(self):
        """A request that changes, or only touches, a key of the focus; or all keys."""
        return self.form(self.pick(words.WRITES), self.pick(self.focus))

    def watching(self):
        """(watcher's part, the other's part, watcher's end): a check-and-set round."""
        self.new_focus()
        ask = self.request
        database = self.pick((b'0', b'0', b'1'))
        begin = [ask('DISCARD'), ask('SELECT', database), ask('UNWATCH')]
        if self.chance(0.5):
            begin.append(ask('SET', self.pick(self.focus), self.value()))
        watched = [self.pick(self.focus) for _ in range(1 + self.below(3))]
        begin.append(ask('WATCH', *watched))
        if self.chance(0.1):
            begin.append(self.write())
        other = [self.write() for _ in range(self.below(4))]
        if self.chance(0.2):
            other = [ask('MULTI')] + other + [ask('EXEC')]
        elsewhere = self.pick((database, database, b'0'))
        other = [ask('DISCARD'), ask('SELECT', elsewhere)] + other
        end = [ask('MULTI')]
        for _ in range(self.below(4)):
            self.add(end)
        end.append(ask('EXEC') if self.chance(0.9) else ask('DISCARD'))
        return begin, other, end

    def silent(self):
        """CLIENT REPLY OFF or SKIP, requests without a reply, and the proof of order."""
        ask = self.request
        quiet = [self.form(self.pick(words.SILENT), self.key(), replies=0)
                 for _ in range(1 + self.below(4))]
        if self.chance(0.5):
            middle = [ask('CLIENT REPLY OFF', replies=0)] + quiet
            middle.append(ask('CLIENT REPLY ON'))
        else:
            middle = [ask('CLIENT REPLY SKIP', replies=0), quiet[0]]
        return [ask('DISCARD')] + middle + [ask('ECHO', self.token())]

    def exact_times(self):
        """Absolute deadlines read back, and encodings of fresh values: no tolerance."""
        ask = self.request
        key = self.key()
        seconds = FAR_FUTURE_S + self.below(10**6)
        if self.chance(0.5):
            name, word, deadline = 'EXPIREAT', b'EXAT', b'%d' % seconds
        else:
            name, word = 'PEXPIREAT', b'PXAT'
            deadline = b'%d' % (seconds * 1000 + self.below(1000))
        if self.chance(0.6):
            batch = [ask('SET', key, self.value()),
                     ask('OBJECT ENCODING', key, exact=True), ask(name, key, deadline)]
        else:
            batch = [ask('SET', key, self.value(), word, deadline)]
        if self.chance(0.4):
            batch.append(self.form(self.pick(words.KEEP_OR_DROP_TIME), key))
        return [ask('DISCARD')] + batch + [
            ask('EXPIRETIME', key, exact=True), ask('PEXPIRETIME', key, exact=True),
            ask('PERSIST', key), ask('TTL', key, exact=True)]

    def dying(self):
        """(requests, requests): keys given 1 ms, and what is asked once they are gone."""
        ask = self.request
        first, then = [ask('SELECT', self.pick((b'0', b'1')))], []
        for _ in range(4):
            key = self.pick(words.KEYS)
            first += [ask('SET', key, self.value()),
                      self.form(self.pick(words.LAST_BREATH), key)]
            self.deaths += 1
            then += [self.form(self.pick(words.FIRST_LOOK), key), ask('EXISTS', key),
                     ask('PTTL', key), ask('GET', key)]
        return first, then + [ask('KEYS *'), ask('DBSIZE')]


def may_mutate(name, args):
    """False where a word more or less could do harm: kill or silence a connection, set
    an option that stays, allocate what a huge value does not need."""
    if name in ('UNKNOWN', 'CONFIG', 'HUGE'):
        return False
    return name != 'CLIENT' or args[1:2] not in ([b'KILL'], [b'REPLY'])
