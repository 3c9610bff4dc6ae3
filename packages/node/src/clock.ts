/** The system's clock. */
import { millis } from '@itc/core/ledger/ids.js';
import type { Clock } from './ports.ts';

export const systemClock: Clock = {
  now: () => millis(Date.now()),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timeout = setTimeout(callback, delayMs);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};
