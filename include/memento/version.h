/* version.h - the release this source belongs to; CMakeLists.txt is where it is set. */
#pragma once

#ifndef MEMENTO_VERSION
#define MEMENTO_VERSION "0.1.0"
#endif

/* What HELLO and INFO give as redis_version: clients switch features on by it, and some of what
 * memento answers came after the 7.0.15 that its replies are compared with (CLIENT SETINFO). */
#define MEMENTO_REDIS_VERSION "7.2.4"
