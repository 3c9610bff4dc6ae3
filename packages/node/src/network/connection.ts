/** One TLS connection to a peer: frames in and out, its HELLO, signs of life, quota, statistics. */
import type { TLSSocket } from 'node:tls';
import { Reader } from '@itc/core/bytes/reader.js';
import { Writer } from '@itc/core/bytes/writer.js';
import type { Clock, DisconnectReason, Priority, Timer } from '../ports.ts';
import { PRIORITY } from '../ports.ts';
import type { FairQueue } from './fair-queue.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { SealedRecords, type ChannelKeys } from './hybrid.ts';
import { NETWORK_LIMITS } from './limits.ts';
import { Outbox } from './outbox.ts';

/** Channel 0: the connection's own. Body = u8 kind ‖ contents. */
const CONTROL = 0;
const HELLO = 1;
const PING = 2;
const PONG = 3;

export interface ConnectionRules {
  /** Greatest body of a channel; undefined when there is no such channel. */
  readonly limitOf: (channel: number) => number | undefined;
  readonly onHello: (bytes: Uint8Array) => void;
  readonly onMessage: (channel: number, bytes: Uint8Array) => void;
  readonly onClose: (reason: DisconnectReason) => void;
}

export interface ConnectionStats {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Waiting to be sent, and read but not yet handled. */
  readonly outboxBytes: number;
  readonly inboxBytes: number;
  /** Messages refused because the outbox was full. */
  readonly dropped: number;
  /** Last round trip; undefined before the first answer. */
  readonly rttMs: number | undefined;
  /** Sealed once more inside TLS, with keys that ML-KEM-768 protects. */
  readonly isHybrid: boolean;
}

export class Connection {
  readonly #socket: TLSSocket;
  readonly #rules: ConnectionRules;
  readonly #clock: Clock;
  readonly #inbox: ReturnType<FairQueue['open']>;
  readonly #outbox = new Outbox();
  readonly #decoder: FrameDecoder;
  /** Since both HELLOs, where the channel is hybrid. */
  #records: SealedRecords | undefined;
  readonly #quota: Quota;
  readonly #timers = new Set<Timer>();
  /** Only a HELLO is read before this is set: nobody unknown costs more than its 512 bytes. */
  #isOpen = false;
  #isClosed = false;
  #isBlocked = false;
  #flushScheduled = false;
  /** Reasons not to read: the inbox is full, the quota is used up. */
  readonly #pauses = new Set<'inbox' | 'quota'>();
  #heardMs: number;
  #rttMs: number | undefined;
  #messagesIn = 0;
  #messagesOut = 0;

  constructor(
    socket: TLSSocket,
    parts: { readonly rules: ConnectionRules; readonly clock: Clock; readonly queue: FairQueue },
  ) {
    this.#socket = socket;
    this.#rules = parts.rules;
    this.#clock = parts.clock;
    this.#quota = new Quota(parts.clock);
    this.#heardMs = parts.clock.monotonicMs();
    this.#inbox = parts.queue.open({
      handle: parts.rules.onMessage,
      throttle: (full) => this.#pause('inbox', full),
    });
    this.#decoder = new FrameDecoder(
      (channel) =>
        channel === CONTROL
          ? NETWORK_LIMITS.helloBytesMax
          : this.#isOpen
            ? parts.rules.limitOf(channel)
            : undefined,
      (channel, body) => this.#receive(channel, body),
    );
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      if (this.#isClosed) return;
      this.#heardMs = this.#clock.monotonicMs();
      this.#read(chunk);
      if (!this.#isClosed) this.#charge(chunk.length);
    });
    socket.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
    socket.on('error', () => this.close('ended'));
    socket.on('close', () => this.close('ended'));
    socket.on('end', () => this.close('ended'));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  stats(): ConnectionStats {
    return {
      bytesIn: this.#socket.bytesRead,
      bytesOut: this.#socket.bytesWritten,
      messagesIn: this.#messagesIn,
      messagesOut: this.#messagesOut,
      outboxBytes: this.#outbox.bytes,
      inboxBytes: this.#inbox.bytes,
      dropped: this.#outbox.dropped,
      rttMs: this.#rttMs,
      isHybrid: this.#records !== undefined,
    };
  }

  sendHello(hello: Uint8Array): void {
    this.#control(HELLO, hello);
  }

  /** Both HELLOs are known: what leaves and what comes from here on is sealed. The own one leaves as it is. */
  secure(keys: ChannelKeys): void {
    this.#flush();
    if (!this.#outbox.isEmpty) return this.close('malformed');
    this.#records = new SealedRecords(keys);
    return this.#decoder.stop();
  }

  /** The peer has shown its key: channels open, signs of life are expected. */
  open(): void {
    this.#isOpen = true;
    this.#beat();
  }

  /** False when the queue of this priority is full. The bytes must not change afterwards. */
  send(message: {
    readonly channel: number;
    readonly bytes: Uint8Array;
    readonly priority: Priority;
  }): boolean {
    if (this.#isClosed || !this.#outbox.push(message)) return false;
    this.#messagesOut += 1;
    this.#scheduleFlush();
    return true;
  }

  /** Asks for a sign of life, due soon: something suggests that the peer is gone. */
  probe(): void {
    const asked = this.#clock.monotonicMs();
    this.#ping();
    this.#after(NETWORK_LIMITS.probeMs, () => {
      if (this.#heardMs < asked && this.#pauses.size === 0) this.close('silent');
    });
  }

  /** Ends the connection at once and tells why, exactly once. What is queued is lost. */
  close(reason: DisconnectReason): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#inbox.close();
    this.#socket.destroy();
    this.#rules.onClose(reason);
  }

  #read(chunk: Uint8Array): void {
    if (this.#records === undefined) {
      const fault = this.#decoder.push(chunk);
      if (fault !== undefined) return this.close(fault);
      // Behind a HELLO in the same piece of the stream comes what is sealed already.
      return this.#records === undefined ? undefined : this.#readSealed(chunk.subarray(this.#decoder.taken));
    }
    return this.#readSealed(chunk);
  }

  #readSealed(bytes: Uint8Array): void {
    const isTrue = this.#records?.open(bytes, (plain) => {
      const fault = this.#isClosed ? undefined : this.#decoder.push(plain);
      if (fault !== undefined) this.close(fault);
    });
    if (isTrue !== true) this.close('malformed');
  }

  #receive(channel: number, body: Uint8Array): void {
    if (this.#isClosed) return;
    if (channel === CONTROL) return this.#receiveControl(body);
    this.#messagesIn += 1;
    this.#inbox.push(channel, body);
  }

  #receiveControl(body: Uint8Array): void {
    const contents = body.subarray(1);
    if (body[0] === HELLO && !this.#isOpen) return this.#rules.onHello(contents);
    if (body[0] === PING && this.#isOpen && contents.length === 8) return this.#control(PONG, contents);
    if (body[0] === PONG && this.#isOpen && contents.length === 8) {
      const sent = new Reader(contents).u64();
      const rttMs = this.#clock.monotonicMs() - Number(sent) / 1000;
      // A peer may answer what was never asked; such a time is nonsense and is not shown.
      if (rttMs >= 0 && rttMs < NETWORK_LIMITS.silentMs) this.#rttMs = rttMs;
      return undefined;
    }
    return this.close('malformed');
  }

  #control(kind: number, contents: Uint8Array): void {
    const bytes = new Writer(contents.length + 1).u8(kind).raw(contents).finish();
    if (this.#outbox.push({ channel: CONTROL, bytes, priority: PRIORITY.urgent })) this.#scheduleFlush();
  }

  #ping(): void {
    this.#control(PING, new Writer(8).u53(Math.round(this.#clock.monotonicMs() * 1000)).finish());
  }

  #beat(): void {
    // While this node itself does not read, silence says nothing about the peer.
    const silentMs = this.#clock.monotonicMs() - this.#heardMs;
    if (this.#pauses.size === 0 && silentMs > NETWORK_LIMITS.silentMs) return this.close('silent');
    this.#ping();
    return this.#after(NETWORK_LIMITS.pingMs, () => this.#beat());
  }

  #after(delayMs: number, run: () => void): void {
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer);
      if (!this.#isClosed) run();
    });
    this.#timers.add(timer);
  }

  /** Everything sent in one turn of the event loop leaves in one write. */
  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#isBlocked) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Hands over no more than the socket wants, so that what is urgent overtakes what waits here. */
  #flush(): void {
    while (!this.#isBlocked && !this.#isClosed && !this.#outbox.isEmpty) {
      const frames = this.#outbox.take(NETWORK_LIMITS.writeBytesMax);
      this.#isBlocked = !this.#socket.write(this.#records?.seal(frames) ?? frames);
    }
  }

  #charge(bytes: number): void {
    const waitMs = this.#quota.charge(bytes);
    if (waitMs === 0) return;
    this.#pause('quota', true);
    this.#after(waitMs, () => this.#pause('quota', false));
  }

  #pause(reason: 'inbox' | 'quota', on: boolean): void {
    if (on) this.#pauses.add(reason);
    else this.#pauses.delete(reason);
    if (this.#isClosed) return;
    if (this.#pauses.size > 0) this.#socket.pause();
    else {
      this.#heardMs = this.#clock.monotonicMs();
      this.#socket.resume();
    }
  }
}

/** Token bucket: `charge` says how long to wait until the account is even again. */
class Quota {
  readonly #clock: Clock;
  #tokens: number = NETWORK_LIMITS.peerBurstBytes;
  #countedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedMs = clock.monotonicMs();
  }

  charge(bytes: number): number {
    const now = this.#clock.monotonicMs();
    const earned = ((now - this.#countedMs) * NETWORK_LIMITS.peerBytesPerSecond) / 1000;
    this.#tokens = Math.min(NETWORK_LIMITS.peerBurstBytes, this.#tokens + earned) - bytes;
    this.#countedMs = now;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / NETWORK_LIMITS.peerBytesPerSecond);
  }
}
