/* The limited heap: MicroQuickJS with all its memory in one array, and nothing of the program's outside of it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mquickjs.h"

/* Input: u32 count of signatures that hold, each u32 length and bytes; then streams. Little-endian, as the numbers of this machine are. */
static uint8_t *input;
static size_t at, length;
static const uint8_t **held;
static uint32_t *held_bytes, held_count;
/* What the program tells: a question for the host, or bytes for the output. */
static uint8_t told[512];
static size_t told_bytes;
static int is_first = 1;

static double number(void)
{
    double value;
    if (length - at < sizeof value) exit(3);
    memcpy(&value, input + at, sizeof value);
    at += sizeof value;
    return value;
}

static uint32_t word(void)
{
    uint32_t value;
    if (length - at < sizeof value) exit(3);
    memcpy(&value, input + at, sizeof value);
    at += sizeof value;
    return value;
}

static int holds(void)
{
    for (uint32_t i = 0; i < held_count; i++)
        if (held_bytes[i] == told_bytes && memcmp(held[i], told, told_bytes) == 0) return 1;
    return 0;
}

/* The one function of the host, under the name it has in the library's table. */
static JSValue js_load(JSContext *ctx, JSValue *this_val, int argc, JSValue *argv)
{
    int op = 0, value = 0;
    if (argc < 1 || JS_ToInt32(ctx, &op, argv[0])) return JS_EXCEPTION;
    if (argc > 1 && JS_ToInt32(ctx, &value, argv[1])) return JS_EXCEPTION;
    switch (op) {
    case 0: /* is there another stream? */
        return JS_NewInt32(ctx, at < length);
    case 1: /* its next byte */
        if (at >= length) exit(3);
        return JS_NewInt32(ctx, input[at++]);
    case 2: /* its next number */
        return JS_NewFloat64(ctx, number());
    case 3: /* a byte for a question or an answer */
        if (told_bytes == sizeof told) exit(3);
        told[told_bytes++] = (uint8_t)value;
        return JS_UNDEFINED;
    case 4: { /* key, message and signature were told: does it hold? */
        int answer = holds();
        told_bytes = 0;
        return JS_NewInt32(ctx, answer);
    }
    case 5: /* a code */
        printf(is_first ? "%d" : ",%d", value);
        is_first = 0;
        return JS_UNDEFINED;
    case 6: /* the trust was told: the end of a stream */
        printf(" ");
        for (size_t i = 0; i < told_bytes; i++) printf("%02x", told[i]);
        printf("\n");
        told_bytes = 0;
        is_first = 1;
        return JS_UNDEFINED;
    }
    exit(3);
}

/* The other functions of the table are not called. */
static JSValue none(void) { exit(3); }
static JSValue js_print(JSContext *c, JSValue *t, int n, JSValue *a) { return none(); }
static JSValue js_gc(JSContext *c, JSValue *t, int n, JSValue *a) { return none(); }
static JSValue js_date_now(JSContext *c, JSValue *t, int n, JSValue *a) { return none(); }
static JSValue js_performance_now(JSContext *c, JSValue *t, int n, JSValue *a) { return none(); }
static JSValue js_setTimeout(JSContext *c, JSValue *t, int n, JSValue *a) { return none(); }
static JSValue js_clearTimeout(JSContext *c, JSValue *t, int n, JSValue *a) { return none(); }

#include "mqjs_stdlib.h"

static uint8_t *slurp(const char *name, size_t *bytes)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) exit(3);
    *bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *all = malloc(*bytes + 1);
    if (fread(all, 1, *bytes, file) != *bytes) exit(3);
    all[*bytes] = 0;
    fclose(file);
    return all;
}

static int failed(JSContext *ctx)
{
    char text[256];
    JS_GetErrorStr(ctx, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    return 1;
}

static void write_all(const char *name, const void *header, size_t header_bytes, const void *program, size_t bytes)
{
    FILE *file = fopen(name, "wb");
    if (file == NULL) exit(3);
    if (fwrite(header, 1, header_bytes, file) != header_bytes || fwrite(program, 1, bytes, file) != bytes) exit(3);
    fclose(file);
}

/* On the desk, not on the chip: for this machine's words, or for those of 32 bits to tell their size. */
static int compile(const char *from, const char *to, int is_32)
{
    size_t bytes, room = 1 << 20;
    JSContext *ctx = JS_NewContext2(malloc(room), room, &js_stdlib, 1);
    char *source = (char *)slurp(from, &bytes);
    JSValue code = JS_Parse(ctx, source, bytes, "light", JS_EVAL_STRIP_COL);
    if (JS_IsException(code)) return failed(ctx);
    const uint8_t *program;
    uint32_t program_bytes;
#if JSW == 8
    if (is_32) {
        JSBytecodeHeader32 header;
        if (JS_PrepareBytecode64to32(ctx, &header, &program, &program_bytes, code)) return 1;
        write_all(to, &header, sizeof header, program, program_bytes);
        return 0;
    }
#endif
    JSBytecodeHeader header;
    JS_PrepareBytecode(ctx, &header, &program, &program_bytes, code);
    JS_RelocateBytecode2(ctx, &header, (uint8_t *)program, program_bytes, 0, 0);
    write_all(to, &header, sizeof header, program, program_bytes);
    return 0;
}

/* compile PROGRAM.js PROGRAM.bin | compile32 PROGRAM.js PROGRAM.bin | run HEAP_BYTES PROGRAM.bin INPUT */
int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "compile") == 0) return compile(argv[2], argv[3], 0);
    if (argc == 4 && strcmp(argv[1], "compile32") == 0) return compile(argv[2], argv[3], 1);
    if (argc != 5 || strcmp(argv[1], "run") != 0) exit(3);
    input = slurp(argv[4], &length);
    held_count = word();
    held = malloc((held_count + 1) * sizeof *held);
    held_bytes = malloc((held_count + 1) * sizeof *held_bytes);
    for (uint32_t i = 0; i < held_count; i++) {
        held_bytes[i] = word();
        held[i] = input + at;
        at += held_bytes[i];
    }
    size_t bytes, heap = (size_t)atoi(argv[2]);
    JSContext *ctx = JS_NewContext(malloc(heap), heap, &js_stdlib);
    uint8_t *program = slurp(argv[3], &bytes);
    /* As in flash: it is read where it lies. */
    if (!JS_IsBytecode(program, bytes) || JS_RelocateBytecode(ctx, program, bytes) != 0) exit(3);
    JSValue code = JS_LoadBytecode(ctx, program);
    if (JS_IsException(code) || JS_IsException(JS_Run(ctx, code))) return failed(ctx);
    return 0;
}
