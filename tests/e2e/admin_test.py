#!/usr/bin/env python3
"""What an operator and a client library say to a server: options, AUTH, HELLO, RESET, CLIENT,
CONFIG, INFO, SHUTDOWN, DEBUG. Usage: admin_test.py --server PATH [--only WORDS]"""

import os

import server
from server import ErrorReply, Lost, Server, Simple, check, check_equal, read_info, wait_until

WRONGPASS = ErrorReply('WRONGPASS invalid username-password pair or user is disabled.')
NOAUTH = ErrorReply('NOAUTH Authentication required.')
SYNTAX = ErrorReply('ERR syntax error')
BAD_NAME = ErrorReply('ERR Client names cannot contain spaces, newlines or special characters.')


def fields(line):
    """A line of CLIENT LIST as a dictionary."""
    return dict(pair.split('=', 1) for pair in line.decode('latin-1').rstrip('\n').split(' '))


def listed(client, *words):
    return [fields(line) for line in client.ask('CLIENT', 'LIST', *words).splitlines()]


def is_closed(client):
    try:
        client.ask('PING')
        return False
    except (Lost, OSError):
        return True


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    return path


# ---- options ----


def case_the_file_in_conf_is_what_the_server_prints(arguments):
    printed = server.run([arguments.server, '--print-config'])
    check_equal(printed.returncode, 0, 'exit status')
    with open(os.path.join(server.ROOT, 'conf', 'memento.conf'), 'rb') as file:
        check(file.read() == printed.stdout,
              'conf/memento.conf differs: memento-server --print-config > conf/memento.conf')


def case_wrong_usage_exits_with_2_and_says_what_to_do(arguments):
    for words, expected in (
            (['-c'], b'cluster mode is not there yet'),
            (['-f', 'nodes.conf'], b'cluster mode is not there yet'),
            (['-i', 'one'], b'cluster mode is not there yet'),
            (['--prot', '1'], b'did you mean --port?'),
            (['--port', '65500'], b'between 0 and 65435'),
            (['--config', '/does/not/exist'], b'/does/not/exist cannot be read')):
        ended = server.run([arguments.server] + words)
        check_equal(ended.returncode, 2, 'exit status of %s' % words)
        check(expected in ended.stderr, '%s: %s', words, ended.stderr)
        check_equal(ended.stdout, b'', 'standard output')


def case_help_and_version_exit_with_0(arguments):
    usage = server.run([arguments.server, '--help'])
    check_equal(usage.returncode, 0, 'exit status')
    for option in (b'--port', b'-a, --bind', b'--workers', b'--config'):
        check(option in usage.stdout, '--help does not tell %s', option)
    version = server.run([arguments.server, '--version'])
    check_equal(version.returncode, 0, 'exit status')
    check(version.stdout.startswith(b'memento-server '), 'version: %s', version.stdout)


def case_options_come_from_the_file_and_the_command_line_wins(arguments):
    with Server(arguments.server) as folder_only:
        path = write(folder_only.folder, 'm.conf',
                     '# a comment\nmaxclients 50\ntimeout 11\nrequirepass "two words"\n')
        with Server(arguments.server, '--config', path, '--timeout', '12') as one:
            client = one.client()
            check_equal(client.ask('GET', 'x'), NOAUTH, 'before AUTH')
            check_equal(client.ask('AUTH', 'two words'), Simple('OK'), 'AUTH')
            check_equal(client.ask('CONFIG', 'GET', 'maxclients', 'timeout'),
                        [b'timeout', b'12', b'maxclients', b'50'], 'CONFIG GET')
        bad = write(folder_only.folder, 'bad.conf', 'maxclients 50\ntimeot 11\n')
        ended = server.run([arguments.server, '--config', bad])
        check_equal(ended.returncode, 2, 'exit status')
        check(b'bad.conf:2: there is no option timeot; did you mean timeout?' in ended.stderr,
              'error: %s', ended.stderr)


def case_a_password_is_not_readable_in_the_process_list(arguments):
    with Server(arguments.server, '--requirepass', 'hunter2') as one:
        with open('/proc/%d/cmdline' % one.pid, 'rb') as file:
            check(b'hunter2' not in file.read(), 'the password is in the command line')
        check('requirepass' in one.output(), 'no warning: %s', one.output())
        check('hunter2' not in one.output(), 'the password is traced')
        with one.client() as client:
            check_equal(client.ask('AUTH', 'hunter2'), Simple('OK'), 'AUTH')
            shown = client.ask('CONFIG', 'GET', 'requirepass')
            check(b'hunter2' not in shown[1] and shown[1] != b'', 'CONFIG GET: %s', shown)


def case_the_server_takes_no_password_from_the_environment(arguments):
    # It is the client's variable; a server must not become closed, or open, by it.
    before = os.environ.get('MEMENTO_AUTH')
    os.environ['MEMENTO_AUTH'] = 'hunter2'
    try:
        with Server(arguments.server) as one, one.client() as client:
            check_equal(client.ask('GET', 'x'), None, 'GET without AUTH')
    finally:
        del os.environ['MEMENTO_AUTH']
        if before is not None:
            os.environ['MEMENTO_AUTH'] = before


# ---- AUTH, HELLO, RESET ----


def case_auth_without_a_password_set(arguments):
    with Server(arguments.server) as one, one.client() as client:
        check_equal(client.ask('AUTH', 'x'),
                    ErrorReply('ERR AUTH <password> called without any password configured for '
                               'the default user. Are you sure your configuration is correct?'),
                    'AUTH x')
        check_equal(client.ask('AUTH', 'default', 'x'), Simple('OK'), 'AUTH default x')
        check_equal(client.ask('AUTH', 'somebody', 'x'), WRONGPASS, 'AUTH somebody x')
        check_equal(client.ask('AUTH', 'a', 'b', 'c'), SYNTAX, 'AUTH a b c')


def case_auth_with_a_password_set(arguments):
    with Server(arguments.server, '--requirepass', 'secret') as one, one.client() as client:
        check_equal(client.ask('SET', 'k', 'v'), NOAUTH, 'SET')
        for words in (('nope',), ('default', 'nope'), ('somebody', 'secret'),
                      ('Default', 'secret'), ('secre',), ('secrets',), ('',)):
            check_equal(client.ask('AUTH', *words), WRONGPASS, 'AUTH %s' % (words,))
            check_equal(client.ask('SET', 'k', 'v'), NOAUTH, 'SET after it')
        # Pipelined: what stands behind AUTH runs with its outcome.
        check_equal(client.pipeline([('AUTH', 'nope'), ('GET', 'k'), ('AUTH', 'secret'),
                                     ('SET', 'k', 'v'), ('GET', 'k')]),
                    [WRONGPASS, NOAUTH, Simple('OK'), Simple('OK'), b'v'], 'pipeline')
        check_equal(client.ask('AUTH', 'nope'), WRONGPASS, 'a wrong password later')
        check_equal(client.ask('GET', 'k'), b'v', 'what was allowed stays allowed')


def case_requirepass_changes_while_clients_are_connected(arguments):
    with Server(arguments.server) as one:
        old = one.client()
        check_equal(old.ask('CONFIG', 'SET', 'requirepass', 'secret'), Simple('OK'), 'set')
        check_equal(old.ask('GET', 'k'), None, 'who was in stays in')
        new = one.client()
        check_equal(new.ask('GET', 'k'), NOAUTH, 'who comes has to AUTH')
        check_equal(old.ask('RESET'), Simple('RESET'), 'RESET')
        check_equal(old.ask('GET', 'k'), NOAUTH, 'RESET forgets who was in')
        check_equal(old.ask('AUTH', 'secret'), Simple('OK'), 'AUTH')
        check_equal(old.ask('CONFIG', 'SET', 'requirepass', ''), Simple('OK'), 'taken away')
        check_equal(new.ask('GET', 'k'), None, 'without a password all are in')
        check_equal(one.client().ask('GET', 'k'), None, 'and who comes')


def hello_of(identity, version):
    return [b'server', b'redis', b'version', b'7.2.4', b'proto', version, b'id', identity,
            b'mode', b'standalone', b'role', b'master', b'modules', []]


def case_hello_answers_in_the_protocol_it_agrees_on(arguments):
    with Server(arguments.server) as one, one.client() as client:
        me = client.ask('CLIENT', 'ID')
        flat = hello_of(me, 2)
        check_equal(client.ask('HELLO'), flat, 'HELLO')
        check_equal(client.ask('HELLO', '2'), flat, 'HELLO 2')
        as_map = dict(zip(hello_of(me, 3)[::2], hello_of(me, 3)[1::2]))
        check_equal(client.ask('HELLO', '3'), as_map, 'HELLO 3')
        check_equal(client.ask('HELLO'), as_map, 'HELLO in RESP3')
        client.send('GET', 'missing')
        check_equal(client.read_exactly(3), b'_\r\n', 'null of RESP3')
        check_equal(client.ask('HELLO', '2'), flat, 'back to RESP2')
        client.send('GET', 'missing')
        check_equal(client.read_exactly(5), b'$-1\r\n', 'null of RESP2')


def case_hello_refuses_what_it_does_not_know(arguments):
    with Server(arguments.server) as one, one.client() as client:
        for words, expected in (
                (('x',), 'ERR Protocol version is not an integer or out of range'),
                (('1',), 'NOPROTO unsupported protocol version'),
                (('4',), 'NOPROTO unsupported protocol version'),
                (('3', 'FOO'), "ERR Syntax error in HELLO option 'FOO'"),
                (('3', 'AUTH', 'x'), "ERR Syntax error in HELLO option 'AUTH'"),
                (('3', 'SETNAME'), "ERR Syntax error in HELLO option 'SETNAME'"),
                (('3', 'SETNAME', 'a b'), BAD_NAME),
                (('3', 'AUTH', 'somebody', 'x', 'SETNAME', 'bob'), WRONGPASS)):
            check_equal(client.ask('HELLO', *words), ErrorReply(expected), words)
        check_equal(client.ask('CLIENT', 'GETNAME'), None, 'no name was set')
        check_equal(listed(client)[0]['resp'], '2', 'the protocol has not changed')


def case_hello_authenticates_and_names(arguments):
    with Server(arguments.server, '--requirepass', 'secret') as one, one.client() as client:
        refused = client.ask('HELLO', '3')
        check(isinstance(refused, ErrorReply) and refused.startswith(
            'NOAUTH HELLO must be called with the client already authenticated'), refused)
        check_equal(client.ask('HELLO', '3', 'AUTH', 'default', 'nope'), WRONGPASS, 'nope')
        answer = client.ask('HELLO', '3', 'AUTH', 'default', 'secret', 'SETNAME', 'bob')
        check_equal(answer[b'proto'], 3, 'proto')
        check_equal(client.ask('CLIENT', 'GETNAME'), b'bob', 'name')


def case_reset_makes_the_connection_as_new(arguments):
    with Server(arguments.server) as one, one.client() as client:
        client.ask('HELLO', '3', 'SETNAME', 'bob')
        client.ask('SELECT', '5')
        client.ask('WATCH', 'k')
        client.ask('MULTI')
        check_equal(client.ask('SET', 'k', 'v'), Simple('QUEUED'), 'queued')
        check_equal(client.ask('RESET'), Simple('RESET'), 'RESET')
        check_equal(client.ask('EXEC'), ErrorReply('ERR EXEC without MULTI'), 'EXEC')
        state = listed(client)[0]
        check_equal((state['db'], state['name'], state['resp'], state['flags']),
                    ('0', '', '2', 'N'), 'state')
        # With replies off RESET is not heard, and turns them on again.
        client.send('CLIENT', 'REPLY', 'OFF')
        check_equal(client.pipeline([('RESET',), ('PING',)]),
                    [Simple('RESET'), Simple('PONG')], 'RESET with replies off')


# ---- CLIENT ----


def case_client_names_are_checked(arguments):
    with Server(arguments.server) as one, one.client() as client:
        check_equal(client.ask('CLIENT', 'GETNAME'), None, 'no name')
        for bad in ('a b', 'a\nb', '\x01', '\xe4'):
            check_equal(client.ask('CLIENT', 'SETNAME', bad), BAD_NAME, repr(bad))
        check_equal(client.ask('CLIENT', 'SETNAME', 'bob'), Simple('OK'), 'SETNAME')
        check_equal(client.ask('CLIENT', 'GETNAME'), b'bob', 'GETNAME')
        check_equal(client.ask('CLIENT', 'SETNAME', ''), Simple('OK'), 'empty')
        check_equal(client.ask('CLIENT', 'GETNAME'), None, 'taken away')
        check(isinstance(client.ask('CLIENT', 'SETNAME', 'x' * 1025), ErrorReply), 'too long')
        check_equal(client.ask('CLIENT', 'SETINFO', 'LIB-NAME', 'lib'), Simple('OK'), 'name')
        check_equal(client.ask('CLIENT', 'SETINFO', 'lib-ver', '1.2'), Simple('OK'), 'version')
        check_equal(client.ask('CLIENT', 'SETINFO', 'lib-x', '1'),
                    ErrorReply("ERR Unrecognized option 'lib-x'"), 'lib-x')
        check_equal(client.ask('CLIENT', 'SETINFO', 'lib-ver', '1 2'),
                    ErrorReply('ERR lib-ver cannot contain spaces, newlines or special '
                               'characters.'), 'a space')
        mine = fields(client.ask('CLIENT', 'INFO'))
        check_equal((mine['lib-name'], mine['lib-ver']), ('lib', '1.2'), 'library')


def case_client_list_shows_the_clients_of_all_workers(arguments):
    with Server(arguments.server, '--workers', 3) as one:
        clients = [one.client() for _ in range(12)]
        for number, client in enumerate(clients):
            client.ask('CLIENT', 'SETNAME', 'c%d' % number)
            client.ask('SELECT', number)
        seen = {line['name']: line for line in listed(clients[0])}
        check_equal(sorted(seen), sorted('c%d' % i for i in range(12)), 'names')
        for number, client in enumerate(clients):
            line = seen['c%d' % number]
            host, port = client.sock.getsockname()
            check_equal(line['addr'], '%s:%d' % (host, port), 'addr')
            check_equal(line['laddr'], '127.0.0.1:%d' % one.port, 'laddr')
            check_equal(line['id'], str(client.ask('CLIENT', 'ID')), 'id')
            check_equal(line['db'], str(number), 'db')
        # By id: in the order asked for, those who are there.
        ids = [seen['c7']['id'], '999999', seen['c2']['id'], seen['c7']['id']]
        check_equal([line['id'] for line in listed(clients[5], 'ID', *ids)],
                    [ids[0], ids[2], ids[3]], 'LIST ID')
        check_equal(len(listed(clients[5], 'TYPE', 'normal')), 12, 'TYPE normal')
        check_equal(listed(clients[5], 'TYPE', 'pubsub'), [], 'TYPE pubsub')


def case_client_list_tells_the_state_of_a_transaction(arguments):
    with Server(arguments.server) as one, one.client() as busy, one.client() as other:
        identity = busy.ask('CLIENT', 'ID')
        busy.ask('MULTI')
        busy.pipeline([('SET', 'a', 'b'), ('SET', 'c', 'd')])
        line = wait_until(lambda: [seen for seen in listed(other, 'ID', identity)
                                   if seen['multi'] == '2'], 'two requests are queued')[0]
        check_equal(line['flags'], 'x', 'flags')
        check(int(line['multi-mem']) > 0, 'multi-mem: %s', line)
        busy.ask('EXEC')
        wait_until(lambda: listed(other, 'ID', identity)[0]['multi'] == '-1', 'EXEC is seen')


def case_client_list_and_kill_refuse_what_they_do_not_know(arguments):
    with Server(arguments.server) as one, one.client() as client:
        bad_id = ErrorReply('ERR client-id should be greater than 0')
        for words, expected in (
                (('LIST', 'TYPE'), SYNTAX),
                (('LIST', 'TYPE', 'x'), ErrorReply("ERR Unknown client type 'x'")),
                (('LIST', 'ID'), SYNTAX),
                (('LIST', 'ID', 'x'), ErrorReply('ERR Invalid client ID')),
                (('LIST', 'x', 'y'), SYNTAX),
                (('KILL', '1.2.3.4:5'), ErrorReply('ERR No such client')),
                (('KILL', 'ID', '0'), bad_id),
                (('KILL', 'ID', 'x'), bad_id),
                (('KILL', 'ID', '999999'), 0),
                (('KILL', 'TYPE', 'x'), ErrorReply("ERR Unknown client type 'x'")),
                (('KILL', 'TYPE', 'pubsub'), 0),
                (('KILL', 'USER', 'x'), ErrorReply("ERR No such user 'x'")),
                (('KILL', 'SKIPME', 'x'), SYNTAX),
                (('KILL', 'ID', '1', 'ADDR'), SYNTAX),
                (('KILL', 'x', 'y'), SYNTAX),
                (('REPLY', 'x'), SYNTAX),
                (('NO-EVICT', 'x'), SYNTAX),
                (('NO-EVICT', 'on'), Simple('OK')),
                (('NO-TOUCH', 'off'), Simple('OK')),
                (('UNPAUSE',), Simple('OK')),
                (('MAINT_NOTIFICATIONS', 'on'), ErrorReply(
                    "ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.")),
                (('SETNAME',), ErrorReply(
                    "ERR wrong number of arguments for 'client|setname' command"))):
            check_equal(client.ask('CLIENT', *words), expected, words)
        check(len(client.ask('CLIENT', 'HELP')) > 10, 'CLIENT HELP')


def case_client_kill_reaches_every_worker(arguments):
    with Server(arguments.server, '--workers', 3) as one:
        killer = one.client()
        victims = [one.client() for _ in range(7)]
        ids = [victim.ask('CLIENT', 'ID') for victim in victims]
        check_equal(killer.ask('CLIENT', 'KILL', 'ID', ids[0]), 1, 'by id')
        wait_until(lambda: is_closed(victims[0]), 'the client is closed')
        address = '%s:%d' % victims[1].sock.getsockname()
        check_equal(killer.ask('CLIENT', 'KILL', address), Simple('OK'), 'the old form')
        wait_until(lambda: is_closed(victims[1]), 'the client is closed')
        address = '%s:%d' % victims[2].sock.getsockname()
        check_equal(killer.ask('CLIENT', 'KILL', 'ADDR', address, 'ID', ids[3]), 0,
                    'filters that do not meet')
        check_equal(killer.ask('CLIENT', 'KILL', 'ADDR', address, 'ID', ids[2]), 1, 'and do')
        wait_until(lambda: is_closed(victims[2]), 'the client is closed')
        check_equal(killer.ask('CLIENT', 'KILL', 'LADDR', '127.0.0.1:%d' % one.port), 4,
                    'all others')
        for victim in victims[3:]:
            wait_until(lambda each=victim: is_closed(each), 'the client is closed')
        check_equal(killer.ask('PING'), Simple('PONG'), 'SKIPME is yes by default')
        wait_until(lambda: len(listed(killer)) == 1, 'the others are gone from the list')


def case_a_client_that_kills_itself_hears_the_answer(arguments):
    with Server(arguments.server) as one:
        client = one.client()
        check_equal(client.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no'), 1, 'count')
        check_equal(client.read_to_end(), b'', 'then the end')
        client = one.client()
        address = '%s:%d' % client.sock.getsockname()
        check_equal(client.ask('CLIENT', 'KILL', address), Simple('OK'), 'the old form')
        check_equal(client.read_to_end(), b'', 'then the end')


def case_client_reply_silences_what_it_says(arguments):
    with Server(arguments.server) as one, one.client() as client:
        client.send_bytes(b''.join(server.encode(*words) for words in (
            ('CLIENT', 'REPLY', 'OFF'), ('SET', 'a', '1'), ('FOO',), ('GET', 'a'),
            ('CLIENT', 'REPLY', 'SKIP'), ('CLIENT', 'REPLY', 'ON'), ('GET', 'a'),
            ('CLIENT', 'REPLY', 'SKIP'), ('INCR', 'a'), ('GET', 'a'))))
        check_equal([client.read() for _ in range(3)], [Simple('OK'), b'1', b'2'], 'replies')
        check_equal(client.ask('PING'), Simple('PONG'), 'nothing more')
        # Inside a transaction SKIP silences EXEC as a whole: the protocol stays in step.
        client.pipeline([('MULTI',), ('CLIENT', 'REPLY', 'SKIP'), ('INCR', 'a')])
        client.send('EXEC')
        client.send('INCR', 'a')
        check_equal(client.ask('GET', 'a'), b'4', 'after EXEC and one more')


# ---- CONFIG ----


def case_config_get_takes_names_and_patterns(arguments):
    with Server(arguments.server) as one, one.client() as client:
        check_equal(client.ask('CONFIG', 'GET', 'nosuch'), [], 'no match')
        check_equal(client.ask('CONFIG', 'GET', 'timeout', 't?meout', 'TIMEOUT'),
                    [b'timeout', b'0'], 'once each')
        check_equal(client.ask('CONFIG', 'GET', 'PORT'), [b'PORT', b'%d' % one.port],
                    'as it was asked for')
        check_equal(client.ask('CONFIG', 'GET', 'max-value-size'),
                    [b'max-value-size', b'536870912'], 'an alias')
        everything = client.ask('CONFIG', 'GET', '*')
        everything = dict(zip(everything[::2], everything[1::2]))
        for name, value in ((b'save', b''), (b'appendonly', b'no' if one.is_in_memory() else b'yes'), (b'databases', b'16'),
                            (b'maxmemory', b'0'), (b'maxmemory-policy', b'noeviction'),
                            (b'bind', b'127.0.0.1'), (b'replica-read-only', b'yes'),
                            (b'requirepass', b''), (b'maxclients', b'10000')):
            check_equal(everything.get(name), value, name)
        client.ask('HELLO', '3')
        check_equal(client.ask('CONFIG', 'GET', 'timeout'), {b'timeout': b'0'}, 'a map')


def case_config_set_changes_all_or_nothing(arguments):
    failed = "ERR CONFIG SET failed (possibly related to argument '%s') - %s"
    number = "argument couldn't be parsed into an integer"
    unknown = "ERR Unknown option or number of arguments for CONFIG SET - '%s'"
    with Server(arguments.server) as one, one.client() as client:
        for words, expected in (
                (('timeout', '5', 'maxclients', 'x'), failed % ('maxclients', number)),
                (('timeout', '5', 'nosuch', '1'), unknown % 'nosuch'),
                (('timeout', 'x', 'nosuch', '1'), unknown % 'nosuch'),
                (('timeout', '5', 'databases', '3'),
                 failed % ('databases', "can't set immutable config")),
                (('timeout', '5', 'TIMEOUT', '6'),
                 failed % ('timeout', 'duplicate parameter')),
                (('timeout', '5', 'maxclients'), 'ERR syntax error'),
                (('timeout', '-1'),
                 failed % ('timeout', 'argument must be between 0 and 2147483647 inclusive')),
                (('requirepass', 'x', 'measure-turns', 'maybe'),
                 failed % ('measure-turns', "argument must be 'yes' or 'no'"))):
            check_equal(client.ask('CONFIG', 'SET', *words), ErrorReply(expected), words)
        check_equal(client.ask('CONFIG', 'GET', 'timeout', 'requirepass'),
                    [b'timeout', b'0', b'requirepass', b''], 'nothing has changed')
        check_equal(client.ask('CONFIG', 'SET', 'timeout', '500', 'tcp-keepalive', '60',
                               'max-value-size', '2mb'), Simple('OK'), 'several')
        check_equal(client.ask('CONFIG', 'GET', 'timeout', 'tcp-keepalive',
                               'proto-max-bulk-len'),
                    [b'timeout', b'500', b'tcp-keepalive', b'60', b'proto-max-bulk-len',
                     b'2097152'], 'all have changed')


def case_options_take_effect_at_once(arguments):
    with Server(arguments.server) as one, one.client() as client:
        check_equal(client.ask('CONFIG', 'SET', 'loglevel', 'nothing'), Simple('OK'), 'silent')
        lines = one.output().count('CONFIG SET')
        client.ask('CONFIG', 'SET', 'tcp-keepalive', '61')
        check_equal(one.output().count('CONFIG SET'), lines, 'lines at level nothing')
        client.ask('CONFIG', 'SET', 'loglevel', 'info')
        client.ask('CONFIG', 'SET', 'tcp-keepalive', '62')
        check(one.output().count('CONFIG SET') > lines, 'no lines at level info')
        client.ask('CONFIG', 'SET', 'maxclients', '1')
        with one.client() as one_more:
            check_equal(one_more.read_to_end(), b'-ERR max number of clients reached\r\n',
                        'one more client')
        client.ask('CONFIG', 'SET', 'maxclients', '100')
        idle = one.client()
        idle.ask('PING')
        client.ask('CONFIG', 'SET', 'timeout', '1')
        check_equal(idle.read_to_end(), b'', 'an idle client is closed')


# ---- INFO ----

NEEDED = {
    'server': 'redis_version memento_version redis_mode os process_id run_id tcp_port '
              'uptime_in_seconds workers shards',
    'clients': 'connected_clients blocked_clients maxclients clients_cut',
    'memory': 'used_memory used_memory_human used_memory_rss used_memory_peak maxmemory '
              'maxmemory_policy mem_fragmentation_ratio memory_tables memory_entries '
              'memory_large_values',
    'persistence': 'loading aof_enabled aof_rewrite_in_progress aof_last_write_status '
                   'rdb_bgsave_in_progress',
    'stats': 'total_connections_received total_commands_processed instantaneous_ops_per_sec '
             'keyspace_hits keyspace_misses expired_keys evicted_keys rejected_connections '
             'longest_turn_us longest_turn_cpu_us',
    'replication': 'role connected_slaves master_replid master_repl_offset',
    'cpu': 'used_cpu_sys used_cpu_user',
    'cluster': 'cluster_enabled',
    'keyspace': '',
}


def case_info_comes_in_sections(arguments):
    with Server(arguments.server) as one, one.client() as client:
        whole = client.ask('INFO')
        titles = [line for line in whole.split(b'\r\n') if line.startswith(b'#')]
        check_equal(titles, [b'# Server', b'# Clients', b'# Memory', b'# Persistence',
                             b'# Stats', b'# Replication', b'# CPU', b'# Cluster',
                             b'# Keyspace'], 'titles')
        for section, names in NEEDED.items():
            text = client.ask('INFO', section.upper())
            check(text.lower().startswith(b'# %s\r\n' % section.encode()), 'title: %s', text)
            for name in names.split():
                check(name in read_info(text), 'INFO %s has no %s', section, name)
        check_equal(client.ask('INFO', 'nosuch'), b'', 'an unknown section')
        check_equal(client.ask('INFO', 'keyspace', 'cluster', 'nosuch', 'cluster'),
                    b'# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n', 'several')
        for word in ('default', 'all', 'everything'):
            check_equal(client.ask('INFO', word).count(b'# '), 9, word)
        client.ask('HELLO', '3')
        client.send('INFO', 'cluster')
        check_equal(client.read_line(), b'=34', 'a verbatim string in RESP3')


def case_info_counts_what_happens(arguments):
    with Server(arguments.server, '--workers', 2) as one, one.client() as client:
        client.ask('CONFIG', 'RESETSTAT')
        client.pipeline([('SET', 'a', '1'), ('SET', 'b', '2', 'EX', '100'), ('GET', 'a'),
                         ('GET', 'missing'), ('SELECT', '2'), ('SET', 'c', 'x' * 200000),
                         ('FOO',)])
        info = read_info(client.ask('INFO'))
        check_equal(info['keyspace_hits'], '1', 'hits')
        check_equal(info['keyspace_misses'], '1', 'misses')
        check_equal(info['total_error_replies'], '1', 'errors')
        check(int(info['total_commands_processed']) >= 7, 'commands: %s', info)
        check(int(info['total_net_input_bytes']) > 200000, 'bytes: %s', info)
        check_equal(info['db0'], 'keys=2,expires=1,avg_ttl=0', 'db0')
        check_equal(info['db2'], 'keys=1,expires=0,avg_ttl=0', 'db2')
        check('db1' not in info, 'an empty database is listed')
        check(int(info['memory_large_values']) >= 200000, 'large values: %s', info)
        check(int(info['used_memory']) >= 200000, 'memory: %s', info)
        check(int(info['used_memory_peak']) >= int(info['used_memory']), 'peak: %s', info)
        check(int(info['used_memory_rss']) > 0, 'rss: %s', info)
        # The connection that asked whether the server was up may still be closing.
        wait_until(lambda: read_info(client.ask('INFO'))['connected_clients'] == '1', 'clients')
        check_equal(info['process_id'], str(one.pid), 'pid')
        check_equal(info['tcp_port'], str(one.port), 'port')
        check_equal(len(info['run_id']), 40, 'run id')
        client.ask('CONFIG', 'RESETSTAT')
        info = read_info(client.ask('INFO', 'stats'))
        check_equal((info['keyspace_hits'], info['total_error_replies'],
                     info['total_connections_received']), ('0', '0', '0'), 'after RESETSTAT')


def case_info_runs_inside_a_transaction(arguments):
    with Server(arguments.server) as one, one.client() as client:
        client.pipeline([('MULTI',), ('SET', 'a', '1'), ('INFO',), ('INFO', 'keyspace')])
        answers = client.ask('EXEC')
        check_equal(answers[0], Simple('OK'), 'SET')
        check('used_memory' in read_info(answers[1]), 'INFO: %s', answers[1])
        check_equal(read_info(answers[2])['db0'], 'keys=1,expires=0,avg_ttl=0', 'db0')


# ---- the text dialect ----


def case_lines_are_answered_in_lines(arguments):
    with Server(arguments.server) as one, one.client() as client:
        client.send_bytes(b'config get timeout\r\nclient setname bob\r\nclient getname\r\n'
                          b'info cluster\r\nauth x y z\r\nreset\r\nclient getname\r\n')
        expected = [b'timeout: 0', b'(end)', b'OK', b'bob', b'# Cluster', b'cluster_enabled:0',
                    b'(end)', b'(error) ERR syntax error', b'RESET', b'(null)']
        check_equal([client.read_line() for _ in expected], expected, 'lines')
        client.send_bytes(b'hello 3\r\n')
        check_equal(client.read_line(), b'%7', 'HELLO 3 as a line')


# ---- SHUTDOWN, DEBUG ----


def case_shutdown_ends_the_server_without_an_answer(arguments):
    for words in ((), ('NOSAVE',), ('NOW', 'FORCE')):
        with Server(arguments.server) as one:
            client = one.client()
            client.send('SET', 'a', '1')
            client.send('SHUTDOWN', *words)
            check_equal(client.read_to_end(), b'+OK\r\n', 'SHUTDOWN %s' % (words,))
            one.wait_for_end()


def case_shutdown_refuses_what_makes_no_sense(arguments):
    with Server(arguments.server) as one, one.client() as client:
        for words in (('x',), ('SAVE', 'NOSAVE'), ('ABORT', 'NOW')):
            check_equal(client.ask('SHUTDOWN', *words), SYNTAX, words)
        check_equal(client.ask('SHUTDOWN', 'ABORT'),
                    ErrorReply('ERR No shutdown in progress.'), 'ABORT')
        client.ask('MULTI')
        check(isinstance(client.ask('SHUTDOWN'), ErrorReply), 'SHUTDOWN in MULTI')
        check_equal(one.process.poll(), None, 'the server lives')


def case_debug_is_off_unless_it_is_allowed(arguments):
    with Server(arguments.server) as one, one.client() as client:
        answer = client.ask('DEBUG', 'SLEEP', '0')
        check(isinstance(answer, ErrorReply) and
              answer.startswith('ERR DEBUG command not allowed.'), answer)
        check(isinstance(client.ask('CONFIG', 'SET', 'enable-debug-command', 'yes'),
                         ErrorReply), 'CONFIG SET allows DEBUG')
    with Server(arguments.server, '--enable-debug-command', 'yes') as one:
        with one.client() as client:
            check_equal(client.ask('DEBUG', 'SLEEP', '0.01'), Simple('OK'), 'SLEEP')
            for bad in ('x', '-1', '1e9', 'nan'):
                check(isinstance(client.ask('DEBUG', 'SLEEP', bad), ErrorReply), bad)
            check(isinstance(client.ask('DEBUG', 'SEGFAULT'), ErrorReply), 'SEGFAULT')


def case_a_unix_socket_is_named_by_its_path(arguments):
    with Server(arguments.server, '--unixsocket', 'socket', '--unixsocketperm', '600') as one:
        path = one.unix_path()
        check_equal(os.stat(path).st_mode & 0o777, 0o600, 'mode')
        with server.Client(path) as client:
            mine = fields(client.ask('CLIENT', 'INFO'))
            check_equal((mine['addr'], mine['laddr'], mine['flags']),
                        ('socket:0', 'socket:0', 'U'), 'CLIENT INFO')
            check_equal(client.ask('CLIENT', 'KILL', 'ADDR', 'socket:0'), 0, 'not itself')


server.main(__name__)
