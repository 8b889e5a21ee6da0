# common.sh - what the scripts share; sourced by them, not run.
# Everything that is built or written lands below build/ of this checkout.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

say() { printf '== %s\n' "$*"; }

# need COMMAND-OR-FILE:PACKAGE ...: installs the Debian packages of what is missing when root,
# otherwise says what to install and stops. Each package is printed before it is installed.
need() {
    local pair missing=()
    for pair in "$@"; do
        local thing=${pair%%:*} package=${pair#*:}
        case $thing in
        /*) [ -e "$thing" ] || compgen -G "$thing" >/dev/null || missing+=("$package") ;;
        *) command -v "$thing" >/dev/null 2>&1 || missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        printf 'installing with apt-get: %s\n' "${missing[@]}"
        mkdir -p build
        apt-get update -qq || true
        # RUNLEVEL=1: packages that are daemons are installed, not started.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" >build/packages.log 2>&1 || {
            cat build/packages.log >&2
            exit 1
        }
    else
        printf 'missing: %s\n' "${missing[*]}" >&2
        printf 'install them first, on Debian:  apt-get install %s\n' "${missing[*]}" >&2
        exit 1
    fi
}

# need_compiler: a C compiler, cmake and make.
need_compiler() {
    need cc:gcc cmake:cmake make:make /usr/include/stdlib.h:libc6-dev
}

# configure_and_build FOLDER [cmake options]: in build/FOLDER.
configure_and_build() {
    local folder=build/$1
    shift
    mkdir -p build
    if ! cmake -S . -B "$folder" "$@" >"build/configure.log" 2>&1; then
        cat build/configure.log >&2
        exit 1
    fi
    cmake --build "$folder" -j "$jobs" >"$folder/build.log" 2>&1 || {
        grep -E -A12 'error|warning|Error' "$folder/build.log" >&2 || tail -40 "$folder/build.log" >&2
        exit 1
    }
}
