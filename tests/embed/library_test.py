#!/usr/bin/env python3
"""The libraries as a program gets them: what they export, and the example of src/embed/README.md
built with the archive, with what is installed (pkg-config, find_package, C++), and from the
source in another project's tree.

usage: library_test.py SOURCE BUILD CC CXX exports|archive|installed|subdirectory"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD, CC, CXX, WHAT = sys.argv[1:6]
LIB = os.path.join(BUILD, 'lib')
PROJECT = '''cmake_minimum_required(VERSION 3.16)
project(example LANGUAGES C)
{find}
add_executable(example example.c)
target_compile_options(example PRIVATE -Wall -Wextra -Werror)
target_link_libraries(example {library})
'''


def run(*command, **more):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=900, **more)
    if result.returncode != 0:
        sys.exit(f'{" ".join(command)}\n{result.stdout}\nexit {result.returncode}')
    return result.stdout


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def example():
    with open(os.path.join(SOURCE, 'src/embed/README.md'), encoding='utf-8') as readme:
        return re.search(r'```c\n(.*?)```', readme.read(), re.S).group(1)


def check_example(program, folder, **more):
    """Twice: the second finds what the first has left."""
    data = os.path.join(folder, 'data')
    for count in (1, 2):
        lines = run(program, data, **more).splitlines()
        assert lines[:2] == [f'started {count} times', 'hello, Ada'], lines
        assert sorted(lines[2:]) == ['account:a = 90', 'account:b = 110'], lines
    shutil.rmtree(data)


def build_project(folder, find, library, *arguments):
    write(os.path.join(folder, 'CMakeLists.txt'), PROJECT.format(find=find, library=library))
    built = os.path.join(folder, 'built')
    shutil.rmtree(built, ignore_errors=True)
    run('cmake', '-S', folder, '-B', built, f'-DCMAKE_C_COMPILER={CC}',
        '-DCMAKE_BUILD_TYPE=Release', *arguments)
    run('cmake', '--build', built, '--target', 'example', '-j', '2')
    return os.path.join(built, 'example')


def test_exports(folder):
    """Both export the functions of the header, and nothing else."""
    with open(os.path.join(SOURCE, 'include/memento/memento.h'), encoding='utf-8') as header:
        text = re.sub(r'/\*.*?\*/', '', header.read(), flags=re.S)
    declared = set(re.findall(r'^MEMENTO_API\b[^;]*?\b(memento_\w+)\(', text, re.M))
    assert len(declared) > 20, declared
    for arguments in (['-D', f'{LIB}/libmemento.so'], ['-g', f'{LIB}/libmemento.a']):
        lines = run('nm', '--defined-only', *arguments).splitlines()
        exported = {line.split()[2] for line in lines if len(line.split()) == 3}
        assert exported == declared, exported ^ declared


def test_archive(folder):
    """Also in a program with functions named as ours are inside."""
    write(os.path.join(folder, 'own.c'),
          'int shard_put(void);\nint shard_put(void) { return 7; }\n')
    program = os.path.join(folder, 'example')
    run(CC, '-std=c11', '-Wall', '-Wextra', '-pedantic', '-Werror',
        os.path.join(folder, 'example.c'), os.path.join(folder, 'own.c'),
        f'-I{SOURCE}/include', f'{LIB}/libmemento.a', '-pthread', '-lm', '-o', program)
    check_example(program, folder)


def test_installed(folder):
    prefix = os.path.join(folder, 'prefix')
    run('cmake', '--install', BUILD, '--prefix', prefix)
    libraries = [os.path.join(path, 'memento.pc') for path, _, names in os.walk(prefix)
                 if 'memento.pc' in names]
    pkgconfig = os.path.dirname(libraries[0])
    flags = run('pkg-config', '--cflags', '--libs', 'memento',
                env=dict(os.environ, PKG_CONFIG_PATH=pkgconfig)).split()
    program = os.path.join(folder, 'example')
    find = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(pkgconfig))
    run(CC, '-std=c11', os.path.join(folder, 'example.c'), *flags, '-o', program)
    check_example(program, folder, env=find)
    for library in ('memento::memento', 'memento::static'):
        program = build_project(folder, 'find_package(memento 0.1 REQUIRED)', library,
                                f'-DCMAKE_PREFIX_PATH={prefix}')
        check_example(program, folder, env=find)
    if CXX:
        cpp = os.path.join(folder, 'example.cpp')
        write(cpp, '#include <memento/memento.h>\n#include <cstring>\nint main() {\n'
              'memento *handle; memento_options options = memento_options();\n'
              'options.size = sizeof(options);\n'
              'return memento_open(nullptr, &options, &handle, nullptr, 0) != MEMENTO_OK ||\n'
              'memento_set(handle, "k", 1, "v", 1) != MEMENTO_OK ||\n'
              'memento_close(handle) != MEMENTO_OK; }\n')
        run(CXX, '-std=c++11', '-Wall', '-Wextra', '-pedantic', '-Werror', cpp, *flags, '-o',
            os.path.join(folder, 'cpp'))
        run(os.path.join(folder, 'cpp'), env=find)
    for name in ('bin/memento-server', 'bin/memento-cli', 'lib/systemd/system/memento.service'):
        assert os.path.exists(os.path.join(prefix, name)), name
    run(os.path.join(prefix, 'bin/memento-server'), '--version')


def test_subdirectory(folder):
    program = build_project(folder, f'add_subdirectory({SOURCE} memento)', 'memento::memento',
                            '-DMEMENTO_BENCH=OFF')
    check_example(program, folder)
    program = build_project(folder, f'add_subdirectory({SOURCE} memento)', 'memento::static',
                            '-DMEMENTO_BENCH=OFF')
    check_example(program, folder)


def main():
    with tempfile.TemporaryDirectory(prefix='memento-library-') as folder:
        write(os.path.join(folder, 'example.c'), example())
        globals()[f'test_{WHAT}'](folder)


main()
