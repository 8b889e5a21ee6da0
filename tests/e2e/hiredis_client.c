/* hiredis_client.c - a client written with hiredis: pipelines, binary values, transactions.
 *
 * Usage: hiredis_client PORT. Prints "ok" and exits 0 when every reply was what it has to be. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIPELINED       5000
#define VALUE_BYTES_MAX 20000

static void fail(const char *what, const redisReply *reply)
{
    fprintf(stderr, "%s: reply type %d, integer %lld, text %.200s\n", what,
            reply != NULL ? reply->type : -1, reply != NULL ? reply->integer : 0,
            reply != NULL && reply->str != NULL ? reply->str : "");
    exit(1);
}

static redisReply *next(redisContext *context, const char *what)
{
    void *reply;
    if (redisGetReply(context, &reply) != REDIS_OK) {
        fprintf(stderr, "%s: %s\n", what, context->errstr);
        exit(1);
    }
    return reply;
}

/* Every byte value, a length of its own for every number. */
static size_t fill(char *value, size_t number)
{
    size_t len = number * 37 % VALUE_BYTES_MAX;
    for (size_t i = 0; i < len; i++) {
        value[i] = (char)(number + i * 131);
    }
    return len;
}

static void set_and_get_pipelined(redisContext *context)
{
    static char value[VALUE_BYTES_MAX];
    for (size_t i = 0; i < PIPELINED; i++) {
        size_t len = fill(value, i);
        redisAppendCommand(context, "SET key%b %b", &i, sizeof(i), value, len);
        redisAppendCommand(context, "GET key%b", &i, sizeof(i));
    }
    for (size_t i = 0; i < PIPELINED; i++) {
        redisReply *reply = next(context, "SET");
        if (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0) {
            fail("SET", reply);
        }
        freeReplyObject(reply);
        size_t len = fill(value, i);
        reply = next(context, "GET");
        if (reply->type != REDIS_REPLY_STRING || reply->len != len ||
            memcmp(reply->str, value, len) != 0) {
            fail("GET", reply);
        }
        freeReplyObject(reply);
    }
}

static void expect_integer(redisContext *context, const char *command, long long wanted)
{
    redisReply *reply = redisCommand(context, command);
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER || reply->integer != wanted) {
        fail(command, reply);
    }
    freeReplyObject(reply);
}

static void count_and_forget(redisContext *context)
{
    expect_integer(context, "DBSIZE", PIPELINED);
    expect_integer(context, "INCRBY counter 41", 41);
    expect_integer(context, "INCR counter", 42);
    redisReply *reply =
        redisCommand(context, "INCR key%b", "\1\0\0\0\0\0\0\0", (size_t)8);
    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        fail("INCR of what is no number", reply);
    }
    freeReplyObject(reply);
    reply = redisCommand(context, "GET nothing");
    if (reply == NULL || reply->type != REDIS_REPLY_NIL) {
        fail("GET of an absent key", reply);
    }
    freeReplyObject(reply);
    expect_integer(context, "DEL counter", 1);
}

static void run_transaction(redisContext *context)
{
    redisAppendCommand(context, "MULTI");
    redisAppendCommand(context, "SET a %b", "1\r\n2", (size_t)4);
    redisAppendCommand(context, "MGET a nothing");
    redisAppendCommand(context, "EXEC");
    for (int i = 0; i < 3; i++) {
        freeReplyObject(next(context, "MULTI"));
    }
    redisReply *reply = next(context, "EXEC");
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->elements != 2 || reply->element[1]->element[0]->len != 4 ||
        memcmp(reply->element[1]->element[0]->str, "1\r\n2", 4) != 0 ||
        reply->element[1]->element[1]->type != REDIS_REPLY_NIL) {
        fail("EXEC", reply);
    }
    freeReplyObject(reply);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: hiredis_client PORT\n");
        return 2;
    }
    redisContext *context = redisConnect("127.0.0.1", atoi(argv[1]));
    if (context == NULL || context->err != 0) {
        fprintf(stderr, "no connection: %s\n", context != NULL ? context->errstr : "");
        return 1;
    }
    set_and_get_pipelined(context);
    count_and_forget(context);
    run_transaction(context);
    redisFree(context);
    puts("ok");
    return 0;
}
