#!/usr/bin/env bash
# Builds the kernel and its C tests, without Python, and runs them: as shipped, under ASan + UBSan, and under TSan. Each
# sanitizer has canaries, programs with a known fault: one that passes shows that nothing would have been found, and
# fails the run. The last line is "N passed, N failed".
#
#     tests/c/run.sh [plain | memory | threads]...        (default: all three)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
cc=${CC:-gcc} cxx=${CXX:-g++}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

warnings=(-Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror)
common=(-std=c11 "${warnings[@]}" -ffp-contract=off -Isrc/fdcore/include -Isrc/fdcore/kernel)
libraries=(-lm -pthread)

declare -A flags=(
    [plain]="-O3"
    [memory]="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
    [threads]="-O1 -g -fsanitize=thread -fno-omit-frame-pointer"
)
# What a test needs besides: test_parallel.c makes two functions fail on demand.
declare -A extra=([test_parallel]="-Wl,--wrap=pthread_create,--wrap=calloc")
declare -A canaries=([plain]="" [memory]="overflow signed" [threads]="race")
declare -A evidence=([overflow]="heap-buffer-overflow" [signed]="signed integer overflow" [race]="data race")

note() { # note passed|failed COUNT
    printf -v "$1" %d $(($1 + $2))
}

fail() {
    echo "FAILED: $*"
    note failed 1
}

judge() { # judge WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then note passed 1; else fail "$what"; fi
}

# run VARIANT PROGRAM LOG: under a timeout, reports to LOG.PID files (a test's own redirections would swallow them).
run() {
    local prefix=()
    # TSan needs the address-space layout that it knows.
    if [ "$1" = threads ]; then prefix=(setarch -R); fi
    ASAN_OPTIONS="detect_stack_use_after_return=1:log_path=$3" UBSAN_OPTIONS="print_stacktrace=1:log_path=$3" \
        TSAN_OPTIONS="exitcode=66:die_after_fork=0:log_path=$3" timeout -k 5 300 "${prefix[@]}" "$2"
}

# The kernel's objects, once a variant, on two processors.
build_kernel() { # build_kernel VARIANT
    mkdir -p "$work/$1"
    # shellcheck disable=SC2086  # the flags are words
    printf '%s\n' src/fdcore/kernel/*.c |
        xargs -P 2 -I{} sh -c 'out=$1/$(basename "$2").o && shift 2 && "$@" -o "$out"' - "$work/$1" {} \
            "$cc" "${common[@]}" ${flags[$1]} -c {}
}

build() { # build VARIANT SOURCE PROGRAM [FLAG...]
    local variant=$1 source=$2 program=$3
    shift 3
    # shellcheck disable=SC2086  # the flags are words
    "$cc" "${common[@]}" ${flags[$variant]} "$source" "$work/$variant"/*.o "$@" -o "$program" "${libraries[@]}"
}

run_canary() { # run_canary VARIANT NAME
    local program=$work/$1-canary-$2
    build "$1" "tests/c/canaries/$2.c" "$program" || { fail "$1: canary $2 does not build" && return; }
    if run "$1" "$program" "$program.log" >"$program.out" 2>&1; then
        fail "$1: canary $2 was not found out"
    elif ! grep -qs "${evidence[$2]}" "$program.out" "$program.log".*; then
        fail "$1: canary $2 failed without the words '${evidence[$2]}'"
    else
        note passed 1
    fi
}

run_test() { # run_test VARIANT SOURCE
    local name program rc counts
    name=$(basename "$2" .c)
    program=$work/$1-$name
    # shellcheck disable=SC2086  # the flags are words
    build "$1" "$2" "$program" ${extra[$name]:-} || { fail "$1: $name does not build" && return; }
    run "$1" "$program" "$program.log" >"$program.out" 2>&1
    rc=$?
    sed "s/^/$1 $name: /" "$program.out"
    if counts=$(tail -n 1 "$program.out" | grep -E '^[0-9]+ passed, [0-9]+ failed$'); then
        # shellcheck disable=SC2086
        set -- "$1" $counts
        note passed "$2"
        note failed "$4"
        if [ "$rc" -ne 0 ] && [ "$4" -eq 0 ]; then fail "$1: $name: exit status $rc after its summary"; fi
    else
        fail "$1: $name: no summary, exit status $rc (124: out of time)"
    fi
    if compgen -G "$program.log.*" >/dev/null; then
        fail "$1: $name: the sanitizer reports"
        cat "$program.log".*
    fi
}

# The header for people who include it alone, in either language.
run_header() {
    local header=src/fdcore/include/fdcore/fdcore.h standard
    judge "the header alone, C11" "$cc" -std=c11 "${warnings[@]}" -fsyntax-only -x c "$header"
    if ! command -v "$cxx" >/dev/null; then
        echo "skipped: the header in C++ (no $cxx)"
        return
    fi
    for standard in c++11 c++20; do
        judge "the header alone, $standard" "$cxx" -std=$standard "${warnings[@]}" -fsyntax-only -x c++ "$header"
    done
    judge "a C++ program that calls the kernel" "$cxx" -std=c++11 "${warnings[@]}" -Isrc/fdcore/include \
        tests/c/test_header.cpp "$work/plain"/*.o -o "$work/header" "${libraries[@]}"
    judge "running it" timeout 60 "$work/header"
}

variants=("$@")
if [ $# -eq 0 ]; then variants=(plain memory threads); fi
for variant in "${variants[@]}"; do
    if [ -z "${flags[$variant]:-}" ]; then echo "no variant $variant" >&2 && exit 2; fi
    build_kernel "$variant" || { fail "$variant: the kernel does not build" && continue; }
    for canary in ${canaries[$variant]}; do run_canary "$variant" "$canary"; done
    for source in tests/c/test_*.c; do run_test "$variant" "$source"; done
    if [ "$variant" = plain ]; then run_header; fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
