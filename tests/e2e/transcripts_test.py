#!/usr/bin/env python3
"""The text dialect, line by line, against the transcripts in transcripts/.

A transcript is what somebody who uses netcat would see:

    // a comment
    ! server --option value      options for the server of this file; must come first
    > SET k "a b"                a line that is sent (its end is added)
    >> PING\\r\\nPI               bytes that are sent as they are, in Python's escapes
    OK                           the lines of the reply, exactly
    ! reconnect                  a new connection
    ! closed                     the server closes this connection now
    ! ended                      the server itself ends, with status 0

In replies {int} is a whole number, {about 100} one from 40 to 100, {hex40} 40 hex digits,
{any} anything, {empty} an empty line, {space} a blank at the end of a line; a line `...` stands
for any lines up to the first that is like the next one.

Each transcript runs three times: with lines that end in \\n, in \\r\\n, and byte by byte.
"""

import glob
import os
import random
import re

import server
from server import Failed, Lost, Server, check, check_equal

FOLDER = os.path.join(server.HERE, 'transcripts')
ROWS = os.path.join(server.ROOT, 'src', 'command', 'commands.def')
WORKERS = ('--workers', '2')

MASKS = re.compile(r'\{(int|any|empty|space|hex40|about \d+)\}')


class Step:
    """Something to send or to do, and the lines that have to come back."""

    def __init__(self, number, line):
        self.number = number
        self.line = line
        self.replies = []

    def bytes_to_send(self, line_end):
        if self.line.startswith('>> '):
            return self.line[3:].encode('latin-1').decode('unicode_escape').encode('latin-1')
        return self.line[2:].encode('utf-8') + line_end


def read_transcript(path):
    """The options for the server, and the steps."""
    options, steps = [], []
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file.read().split('\n'), 1):
            if not line or line.startswith('//'):
                continue
            if line.startswith('! server '):
                options = line.split()[2:]
            elif line.startswith(('> ', '>> ', '! ')):
                steps.append(Step(number, line))
            else:
                steps[-1].replies.append(line)
    return options, steps


def mask_pattern(mask):
    name = mask.group(1)
    if name.startswith('about '):
        return r'(?P<about%s>\d+)' % name.split()[1]
    return {'int': r'-?\d+', 'any': r'.*', 'empty': r'', 'space': r' ',
            'hex40': r'[0-9a-f]{40}'}[name]


def is_like(line, wanted):
    """Whether a line of a reply is what the transcript says."""
    pattern, at = '', 0
    for mask in MASKS.finditer(wanted):
        pattern += re.escape(wanted[at:mask.start()]) + mask_pattern(mask)
        at = mask.end()
    pattern += re.escape(wanted[at:])
    match = re.fullmatch(pattern, line, re.DOTALL)
    if match is None:
        return False
    return all(int(name[5:]) - 60 <= int(value) <= int(name[5:])
               for name, value in match.groupdict().items())


def read_reply_line(client):
    return client.read_line().decode('utf-8', 'surrogateescape')


def read_replies(client, step):
    """Fails unless what comes back is what the step says."""
    skips = False
    for wanted in step.replies:
        if wanted == '...':
            skips = True
            continue
        while True:
            try:
                line = read_reply_line(client)
            except Lost as error:
                raise Failed('line %d: %s: the connection was closed' %
                             (step.number, step.line)) from error
            if is_like(line, wanted):
                break
            check(skips, 'line %d: %s\n      got    %s\n      wanted %s', step.number,
                  step.line, line, wanted)
        skips = False
    check(not client.buffer, 'line %d: %s: more was answered: %s', step.number, step.line,
          bytes(client.buffer))


def run_steps(a_server, steps, line_end, piece):
    client = a_server.client()
    for step in steps:
        if step.line == '! reconnect':
            client.close()
            client = a_server.client()
        elif step.line == '! closed':
            check_equal(client.read_to_end(), b'', 'line %d: before the end' % step.number)
        elif step.line == '! ended':
            a_server.wait_for_end()
        else:
            data = step.bytes_to_send(line_end)
            for at in range(0, len(data), piece):
                client.send_bytes(data[at:at + piece])
            read_replies(client, step)
    if a_server.exit_status is None and steps[-1].line not in ('! closed', '! ended'):
        # Nothing more may come than was asked for.
        client.end_sending()
        check_equal(client.read_to_end(), b'', 'behind the last reply')
    client.close()


def transcript_case(path):
    def case(arguments):
        options, steps = read_transcript(path)
        for line_end, piece in ((b'\n', 1 << 20), (b'\r\n', 1 << 20), (b'\r\n', 1)):
            with Server(arguments.server, *WORKERS, *options) as a_server:
                try:
                    run_steps(a_server, steps, line_end, piece)
                except Failed as error:
                    raise Failed('%s, lines that end in %r, sent %d bytes at a time: %s' % (
                        os.path.basename(path), line_end, piece, error)) from error
    return case


def command_names():
    with open(ROWS, encoding='utf-8') as file:
        return re.findall(r'^COMMAND\("([^"]+)"', file.read(), re.MULTILINE)


def paths():
    return sorted(glob.glob(os.path.join(FOLDER, '*.txt')))


def case_every_command_is_in_a_transcript(unused_arguments):
    said = set()
    for path in paths():
        for step in read_transcript(path)[1]:
            words = step.line.lower().lstrip('> ').split()
            said.update((words[0], '|'.join(words[:2])) if words else ())
    names = command_names()
    check(len(names) > 100, 'only %d rows were found in %s', len(names), ROWS)
    missing = [name for name in names if name not in said]
    check(not missing, 'no transcript uses: %s', ', '.join(missing))


def case_help_names_every_command(arguments):
    with Server(arguments.server, *WORKERS) as a_server, a_server.client() as client:
        client.send_bytes(b'HELP\n')
        lines = []
        while not lines or lines[-1] != '(end)':
            lines.append(read_reply_line(client))
        shown = {line.split('  ')[1].strip() for line in lines if line.startswith('  ')}
        names = command_names()
        containers = {name.split('|')[0] for name in names if '|' in name}
        for name in names:
            words = name.upper().replace('|', ' ')
            check(name in containers or any((line + ' ').startswith(words + ' ')
                                            for line in shown), 'HELP lacks %s', words)
            client.send_bytes(b'HELP %s\n' % words.encode())
            check_equal(read_reply_line(client).split(' ')[:len(words.split())],
                        words.split(), 'HELP %s' % words)
            while read_reply_line(client) != '(end)':
                pass


UNQUOTED = {ord('n'): 10, ord('r'): 13, ord('t'): 9, ord('b'): 8, ord('a'): 7}


def unquote(line):
    """What a reply line stands for."""
    if not line.startswith(b'"'):
        return line
    check(len(line) >= 2 and line.endswith(b'"'), 'not closed: %s', line)
    value, at = bytearray(), 1
    while at < len(line) - 1:
        byte = line[at]
        if byte != ord('\\'):
            value.append(byte)
            at += 1
        elif line[at + 1] == ord('x'):
            value.append(int(line[at + 2:at + 4], 16))
            at += 4
        else:
            value.append(UNQUOTED.get(line[at + 1], line[at + 1]))
            at += 2
    return bytes(value)


def case_every_value_comes_back_as_one_line_that_can_be_sent_again(arguments):
    """What GET prints, put behind SET, stores the same value; whatever its bytes are."""
    rng = random.Random(20)
    values = [bytes([byte]) for byte in range(256)]
    values += [bytes([byte, other]) for byte in b'"\\\'( \n\0' for other in range(256)]
    values += [rng.randbytes(rng.randrange(1, 60)) for _ in range(500)]
    values += [b'', b'(end)', b'(null)', b'(error) ERR x', b'"', b'""', b'\\"', b'a\\x41']
    with Server(arguments.server, *WORKERS) as a_server, a_server.client() as text, \
            a_server.client() as resp:
        for value in values:
            resp.ask('SET', 'k', value)
            text.send_bytes(b'GET k\n')
            line = text.read_line()
            check_equal(unquote(line), value, 'GET printed %r' % line)
            # A quoted line is a word as it stands; a plain one may hold spaces or quotes.
            if not line.startswith(b'"'):
                line = b'"' + line.replace(b'\\', b'\\\\').replace(b'"', b'\\"') + b'"'
            text.send_bytes(b'SET again ' + line + b'\n')
            check_equal(text.read_line(), b'OK', 'SET again %r' % line)
            check_equal(resp.ask('GET', 'again'), value, 'what was stored by %r' % line)


def case_a_line_over_the_limit_is_skipped_and_the_connection_lives(arguments):
    limit = (1 << 20) + (64 << 10)
    with Server(arguments.server, *WORKERS, '--proto-max-bulk-len', '1mb') as a_server, \
            a_server.client() as client:
        largest = b'SET k ' + b'v' * (1 << 20)
        client.send_bytes(largest + b'\r\n')
        check_equal(client.read_line(), b'OK', 'the largest value as a line')
        client.send_bytes(b'STRLEN k\n')
        check_equal(client.read_line(), b'%d' % (1 << 20), 'its length')
        for excess in (limit + 2, limit + 5000, 5 << 20):
            client.send_bytes(b'PING before\n' + b'x' * excess + b'\r\nPING behind\n')
            check_equal(client.read_line(), b'before', 'before the line')
            check_equal(client.read_line(),
                        b'(error) ERR Protocol error: too big inline request', 'the line')
            check_equal(client.read_line(), b'behind', 'behind the line')
        client.send_bytes(b'SET k ' + b'v' * ((1 << 20) + 1) + b'\n')
        check_equal(client.read_line(), b'(error) ERR string exceeds maximum allowed size '
                    b'(proto-max-bulk-len)', 'a value that is one byte too long')
        client.send_bytes(b'APPEND k x\n')
        check_equal(client.read_line(), b'(error) ERR string exceeds maximum allowed size '
                    b'(proto-max-bulk-len)', 'a value that would become too long')


def case_resp_and_lines_on_one_connection(arguments):
    """Lines are answered as text until the first RESP request, in RESP ever after."""
    with Server(arguments.server, *WORKERS) as a_server, a_server.client() as client:
        client.send_bytes(b'SET k v\nGET k\nPING\n')
        check_equal([client.read_line() for _ in range(3)], [b'OK', b'v', b'+PONG'], 'text')
        client.send_bytes(b'GET k\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nGET k\nGET nothing\nPING\n')
        check_equal(client.read_line(), b'v', 'the line before')
        check_equal([client.read() for _ in range(4)], [b'v', b'v', None, 'PONG'], 'RESP')


def case_http_is_cut_off_and_does_nothing(arguments):
    requests = [b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET stolen 1\r\n',
                b'POST / HTTP/1.1\r\nContent-Length: 14\r\n\r\nSET stolen 1\r\n',
                b'Host: localhost\r\nSET stolen 1\r\n',
                b'POST /\nSET stolen 1\n']
    with Server(arguments.server, *WORKERS) as a_server:
        for request in requests:
            with a_server.client() as client:
                client.send_bytes(request)
                check(b'OK' not in client.read_to_end(), 'answered: %r', request)
        with a_server.client() as client:
            check_equal(client.ask('DBSIZE'), 0, 'keys')


server.main(__name__, [('transcript %s' % os.path.basename(path), transcript_case(path))
                       for path in paths()])
