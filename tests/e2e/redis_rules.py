"""When two replies count as the same.

Every request is compared exactly, type and bytes, unless its command has a rule here.
A rule exists only where the answer cannot be the same on two servers: a clock, a client
id, an order the protocol leaves open, or a text that describes the server itself. An
error is always compared exactly, whatever the rule.
"""

from redis_resp import NULLS, QUEUED

TTL_TOLERANCE_MS = 1500
TTL_TOLERANCE_S = 2
CLOCK_TOLERANCE_S = 10

# Both servers must know these options; their values are compared where the default or
# the test itself makes them the same.
CONFIG_NAMES = [
    b'save', b'appendonly', b'appendfsync', b'databases', b'maxmemory',
    b'maxmemory-policy', b'timeout', b'maxclients', b'port', b'bind', b'dir',
    b'requirepass', b'replica-read-only', b'notify-keyspace-events',
    b'slowlog-log-slower-than', b'proto-max-bulk-len'
]
CONFIG_SAME = {
    b'databases', b'maxmemory-policy', b'timeout', b'requirepass',
    b'notify-keyspace-events', b'slowlog-log-slower-than', b'replica-read-only',
    b'proto-max-bulk-len'
}

CLIENT_NEEDED = (b'id', b'addr', b'name', b'db')
CLIENT_SAME = (b'name', b'db', b'sub', b'psub', b'multi', b'resp', b'cmd', b'user')
INSIDE_EXEC = b'cmd'  # Redis names EXEC there, memento the command it runs


def kind(reply):
    """The type of a reply on the wire."""
    if isinstance(reply, bytes):
        return '$'
    if isinstance(reply, int):
        return ':'
    if isinstance(reply, list):
        return '*'
    return reply[0]


def is_error(reply):
    return isinstance(reply, tuple) and reply[0] == '-'


def pairs(reply):
    """The pairs of a map, which RESP2 writes as a flat array; None for another type."""
    if isinstance(reply, tuple) and reply[0] == '%':
        reply = reply[1]
    if not isinstance(reply, list) or len(reply) % 2:
        return None
    return list(zip(reply[::2], reply[1::2]))


def shape(request, a, b):
    return kind(a) == kind(b)


def near(tolerance):
    def rule(request, a, b):
        # -1 and -2 are answers, not times.
        return (isinstance(a, int) and isinstance(b, int) and a >= 0 and b >= 0
                and abs(a - b) <= tolerance)

    return rule


def any_order(request, a, b):
    return isinstance(a, list) and isinstance(b, list) and sorted(a) == sorted(b)


def scan(request, a, b):
    """One step of a walk: cursors and cuts are free, the form is not."""
    return all(
        isinstance(r, list) and len(r) == 2 and isinstance(r[0], bytes)
        and r[0].isdigit() and isinstance(r[1], list) and all(
            isinstance(key, bytes) for key in r[1]) for r in (a, b))


def clock(request, a, b):
    for reply in (a, b):
        if not (isinstance(reply, list) and len(reply) == 2
                and all(isinstance(n, bytes) and n.isdigit() for n in reply)):
            return False
    return abs(int(a[0]) - int(b[0])) <= CLOCK_TOLERANCE_S


def hello(request, a, b):
    """All but the id and the version, the fields in the same order."""
    if kind(a) != kind(b):
        return False
    left, right = pairs(a), pairs(b)
    if left is None or right is None or len(left) != len(right):
        return False
    for (name, value), (name_b, value_b) in zip(left, right):
        if name != name_b or kind(value) != kind(value_b):
            return False
        if name not in (b'id', b'version') and value != value_b:
            return False
    return True


def client_fields(reply):
    text = reply[1] if isinstance(reply, tuple) else reply
    if isinstance(text, bytes) and text.startswith(b'txt:'):
        text = text[4:]
    if not isinstance(text, bytes) or not text.endswith(b'\n'):
        return None
    lines = []
    for line in text[:-1].split(b'\n'):
        fields = dict(word.partition(b'=')[::2] for word in line.split(b' '))
        if any(name not in fields for name in CLIENT_NEEDED):
            return None
        lines.append(fields)
    return lines


def client_info(request, a, b):
    if kind(a) != kind(b):
        return False
    left, right = client_fields(a), client_fields(b)
    if not left or not right or len(left) != 1 or len(right) != 1:
        return False
    in_exec = left[0].get(b'multi') != b'-1'
    return all(left[0][name] == right[0][name] for name in CLIENT_SAME
               if name in left[0] and name in right[0]
               and not (in_exec and name == INSIDE_EXEC))


def client_list(request, a, b):
    """Who is connected differs, and with it the number of lines; their form does not."""
    if kind(a) != kind(b):
        return False
    return a == b or (client_fields(a) is not None and client_fields(b) is not None)


def config_get(request, a, b):
    return kind(a) == kind(b) and not config_differences(a, b)


def config_differences(a, b):
    """What two replies to CONFIG GET disagree in, as text; '' for nothing."""
    left, right = pairs(a), pairs(b)
    if left is None or right is None:
        return 'not a map'
    left, right = dict(left), dict(right)
    found = []
    for name in CONFIG_NAMES:
        if (name in left) != (name in right):
            found.append('%s is missing' % name.decode())
        elif name in CONFIG_SAME and left.get(name) != right.get(name):
            found.append('%s has another value' % name.decode())
    return ', '.join(found)


def command_info(request, a, b):
    """Name, arity and the three key positions of each command that was asked for."""
    if kind(a) != kind(b) or kind(a) != '*':
        return False
    if len(request.args) == 2:
        return True  # COMMAND INFO alone lists every command of the server
    if len(a) != len(b):
        return False
    for left, right in zip(a, b):
        if left in NULLS or right in NULLS:
            if left != right:
                return False
            continue
        if kind(left) != '*' or kind(right) != '*' or len(left) != len(right):
            return False
        if left[0:2] != right[0:2] or left[3:6] != right[3:6]:
            return False
        if kind(left[2]) != kind(right[2]):
            return False
    return True


RULES = {
    'PTTL': near(TTL_TOLERANCE_MS),
    'PEXPIRETIME': near(TTL_TOLERANCE_MS),
    'TTL': near(TTL_TOLERANCE_S),
    'EXPIRETIME': near(TTL_TOLERANCE_S),
    'KEYS': any_order,
    'SCAN': scan,
    'TIME': clock,
    'HELLO': hello,
    'INFO': shape,
    'LASTSAVE': shape,
    'OBJECT ENCODING': shape,
    'OBJECT REFCOUNT': shape,
    'OBJECT FREQ': shape,
    'OBJECT IDLETIME': shape,
    'MEMORY USAGE': shape,
    'CLIENT ID': shape,
    'CLIENT INFO': client_info,
    'CLIENT LIST': client_list,
    'CONFIG GET': config_get,
    'COMMAND': shape,
    'COMMAND COUNT': shape,
    'COMMAND LIST': shape,
    'COMMAND DOCS': shape,
    'COMMAND INFO': command_info,
}


class Session:
    """What the comparison has to remember of one connection: its transaction."""
    def __init__(self, deaths):
        self.deaths = deaths    # () -> how many keys may have died and not be swept yet
        self.queue = []
        self.tainted = False    # one side queued what the other refused, as intended

    def same(self, request, a, b, follower, excuse):
        """True when the replies agree.

        follower is (request, a, b) of the next reply. excuse says whether a request of a
        transaction may differ: the replies inside EXEC are compared one by one.
        """
        if a == QUEUED and b == QUEUED:
            self.queue.append(request)
            return True
        name = request.name
        if name == 'EXEC':
            queue, self.queue = self.queue, []
            return self.same_transaction(queue, a, b, excuse)
        if name in ('MULTI', 'DISCARD', 'RESET') and not is_error(a):
            self.queue = []
            self.tainted = False
        if name == 'RANDOMKEY':
            return same_random(a, b, follower)
        return self.same_by_rule(request, a, b)

    def same_transaction(self, queue, a, b, excuse):
        if a == b:
            return True
        if not isinstance(a, list) or not isinstance(b, list):
            return False
        if len(a) != len(b) or len(a) != len(queue):
            return False
        for i, request in enumerate(queue):
            if request.name == 'RANDOMKEY':
                follower = None
                if i + 1 < len(queue):
                    follower = (queue[i + 1], a[i + 1], b[i + 1])
                same = same_random(a[i], b[i], follower)
            else:
                same = self.same_by_rule(request, a[i], b[i])
            if not same and not excuse(request):
                return False
        return True

    def same_by_rule(self, request, a, b):
        if a == b:
            return True
        if request.exact or is_error(a) or is_error(b):
            return False
        if request.name == 'DBSIZE':
            # A dead key counts until it is swept, and when that is, is each server's
            # own affair. That it is swept in the end, the audit makes sure.
            return (isinstance(a, int) and isinstance(b, int)
                    and abs(a - b) <= self.deaths())
        rule = RULES.get(request.name)
        return rule is not None and rule(request, a, b)


def same_random(a, b, follower):
    """Each server's random key must be one of the other server's keys."""
    if not isinstance(a, bytes) or not isinstance(b, bytes):
        return a == b
    if follower is None or follower[0].name != 'KEYS':
        return a == b
    _, keys_a, keys_b = follower
    return (isinstance(keys_a, list) and isinstance(keys_b, list) and a in keys_b
            and b in keys_a)
