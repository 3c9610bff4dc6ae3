/**
 * What a stream would cost on two chips: counts that are measured here, times figures others published. Estimates; nothing
 * of it ran on such a chip.
 */

export interface Chip {
  readonly name: string;
  readonly megahertz: number;
  /** Cycles of one Ed25519 check, and of one block of SHA-256. */
  readonly check: number;
  readonly block: number;
  readonly sources: string;
}

export interface Counts {
  readonly signatures: number;
  /** Blocks of 64 bytes that SHA-256 compressed, without those inside of signatures. */
  readonly blocks: number;
}

export const CHIPS: readonly Chip[] = [
  {
    name: 'Cortex-M4 at 64 MHz, assembler',
    megahertz: 64,
    // Twice an X25519 of 563 310 cycles.
    check: 1_126_620,
    block: 64 * 70,
    sources: 'doubleodd.group/benchmarks (X25519, asm); mbed-os-example-tls (mbedTLS, K64F)',
  },
  {
    name: 'Cortex-M4 at 64 MHz, C',
    megahertz: 64,
    // 73.3 ms for making keys, signing and checking with Monocypher on an nRF52840; checking taken as 40 ms of it.
    check: 2_560_000,
    // 70 cycles a byte: 1 673 KB/s at 120 MHz.
    block: 64 * 70,
    sources: 'RIOT PR 21822 (Monocypher, nRF52840); mbed-os-example-tls (mbedTLS, K64F)',
  },
  {
    name: 'ESP32 at 240 MHz',
    megahertz: 240,
    // One X25519 takes 15.6 ms; a check taken as twice that.
    check: 7_500_000,
    // Software without care, 195 cycles a byte; its SHA engine would do better.
    block: 64 * 195,
    sources: 'esphome PR 19000 (X25519); Microchip (SHA-256 in C, 195 cycles a byte)',
  },
];

/** Millions of cycles. */
export function megacycles(chip: Chip, counts: Counts): number {
  return (counts.signatures * chip.check + counts.blocks * chip.block) / 1e6;
}

export function chipMilliseconds(chip: Chip, counts: Counts): number {
  return (1_000 * megacycles(chip, counts)) / chip.megahertz;
}
