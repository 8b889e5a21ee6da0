# How every room, program and test is compiled. One place, so that no room is an exception.
add_library(memento_flags INTERFACE)
target_compile_definitions(memento_flags INTERFACE _GNU_SOURCE
    MEMENTO_VERSION="${PROJECT_VERSION}")
target_include_directories(memento_flags INTERFACE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(memento_flags INTERFACE Threads::Threads)
target_compile_options(memento_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wformat=2 -Wformat-security -Wformat-nonliteral -Wpointer-arith
    -fno-common -fstack-protector-strong -ffunction-sections -fdata-sections)
if(MEMENTO_WERROR)
    target_compile_options(memento_flags INTERFACE -Werror)
endif()
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    target_compile_options(memento_flags INTERFACE -Wthread-safety)
endif()

# Hardening. Sanitizers bring checks of their own and do not mix with some of these.
if(MEMENTO_SANITIZE STREQUAL "")
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
        target_compile_options(memento_flags INTERFACE -fcf-protection)
    endif()
    target_compile_options(memento_flags INTERFACE -fstack-clash-protection
        $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
    target_link_options(memento_flags INTERFACE
        -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections)
elseif(MEMENTO_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(MEMENTO_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread)
else()
    message(FATAL_ERROR "MEMENTO_SANITIZE is '${MEMENTO_SANITIZE}': use address or thread")
endif()
if(MEMENTO_FUZZ)
    # The rooms too, or the fuzzer is blind to what it reaches in them.
    target_compile_options(memento_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(sanitizers)
    target_compile_options(memento_flags INTERFACE ${sanitizers} -fno-omit-frame-pointer -g)
    target_link_options(memento_flags INTERFACE ${sanitizers})
endif()

# Rooms are separate libraries for the sake of their borders; link-time optimisation
# makes the borders cost nothing at run time.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND MEMENTO_SANITIZE STREQUAL "" AND NOT MEMENTO_FUZZ)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT ipo_works OUTPUT ipo_says LANGUAGES C)
    if(ipo_works)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    else()
        message(STATUS "no link-time optimisation: ${ipo_says}")
    endif()
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
link_libraries(memento_flags)
