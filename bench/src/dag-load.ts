/** Closed and open loops of payloads through one gateway, or through one for each of several subnets. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Devices, EntryGateway } from './dag-entry.ts';
import { arrivalsOf, burstsOf, openLoop, type Completion, type LoadSamples } from './load.ts';
import type { UsageMeter } from './processor-time.ts';

const DRAIN_MS = 60_000;

export interface LoadShape {
  readonly rampMs: number;
  readonly durationMs: number;
  readonly windows: number;
}

export class PayloadLoad {
  readonly gateways: readonly EntryGateway[];
  readonly #devices: readonly Devices[];
  #perSecond = 0;

  /** One set of devices per gateway. */
  constructor(gateways: readonly EntryGateway[], devices: readonly Devices[]) {
    this.gateways = gateways;
    this.#devices = devices;
  }

  /** `inFlight` payloads at each gateway, all the time. Processor time is counted from checkpoint to checkpoint. */
  async closed(
    o: LoadShape & { readonly inFlight: number; readonly meter?: UsageMeter },
  ): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    const to = from + o.durationMs;
    const counted = (): boolean => performance.now() >= from && performance.now() < to;
    o.meter?.restart();
    for (const gateway of this.gateways)
      gateway.watch(() => {
        if (counted()) o.meter?.note(this.finals);
      });
    while (performance.now() < to) {
      for (const [i, gateway] of this.gateways.entries()) {
        gateway.check();
        const devices = this.#devices[i] as Devices;
        for (let room = o.inFlight - gateway.inFlight; room > 0; room -= 1) gateway.handIn(devices.next());
      }
      await sleep(2);
    }
    const completions = await this.finish();
    const inTime = completions.filter(({ done }) => done >= from && done < to).length;
    this.#perSecond = (1_000 * inTime) / o.durationMs;
    const samples = burstsOf(completions, { from, to });
    if (samples.operations > 0) return samples;
    // On a machine too busy for two checkpoints in the time, the whole load and its drain have to tell.
    const start = completions.reduce((first, { started }) => Math.min(first, started), to);
    return arrivalsOf(completions, { from: start, to, windows: 1 });
  }

  /** `perSecond` over all gateways, whatever became of the earlier ones. */
  async open(o: LoadShape & { readonly perSecond: number }): Promise<LoadSamples> {
    const from = performance.now() + o.rampMs;
    await this.offer(o.perSecond, o.rampMs + o.durationMs);
    return arrivalsOf(await this.finish(), { from, to: from + o.durationMs, windows: o.windows });
  }

  async offer(perSecond: number, durationMs: number): Promise<void> {
    let turn = 0;
    const offer = (count: number): void => {
      for (const gateway of this.gateways) gateway.check();
      for (let i = 0; i < count; i += 1) {
        turn = (turn + 1) % this.gateways.length;
        this.gateways[turn]?.handIn((this.#devices[turn] as Devices).next());
      }
    };
    await openLoop(offer, { perSecond, durationMs, stepMs: 5 });
  }

  /** Final per second over the whole time of the last closed loop. */
  get perSecond(): number {
    return this.#perSecond;
  }

  get finals(): number {
    return this.gateways.reduce((sum, { finals }) => sum + finals, 0);
  }

  /** Waits for all that is under way. */
  async finish(): Promise<readonly Completion[]> {
    const deadline = performance.now() + DRAIN_MS;
    const left = (): number => this.gateways.reduce((sum, { inFlight }) => sum + inFlight, 0);
    while (left() > 0) {
      for (const gateway of this.gateways) gateway.check();
      if (performance.now() > deadline)
        throw new Error(`${left()} payloads were not final ${DRAIN_MS} ms after the load`);
      await sleep(20);
    }
    return this.gateways.flatMap((gateway) => gateway.takeCompletions());
  }
}
