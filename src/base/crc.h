/* crc.h - CRC16 (XMODEM, the cluster's slots; "123456789" gives 0x31C3) and CRC32C
 * (Castagnoli, what guards files; "123456789" gives 0xE3069283). Pure. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

uint16_t crc16(struct bytes bytes);
/* Continues from `crc`, which is 0 at the beginning. Uses the processor's instruction
 * where there is one, a table otherwise; both give the same. */
uint32_t crc32c(uint32_t crc, struct bytes bytes);
/* The table version, so that a test can compare the two. */
uint32_t crc32c_by_table(uint32_t crc, struct bytes bytes);
